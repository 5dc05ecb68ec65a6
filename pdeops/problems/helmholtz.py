"""Waves of one frequency in a medium of variable speed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf, pi
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Boundary, Grid, Nodes
from pdeops.problems.coefficients import WaveSpeed
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.inputs import Inputs
from pdeops.solvers.faces import conductances
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes, areas, inner, spacing, volumes

log = logging.getLogger(__name__)

Sides = Literal["dirichlet", "neumann", "absorbing"]
FEWEST = 8  # points per wavelength without a warning


@lru_cache(maxsize=1)  # once, not for every shard
def _warn_of(name: str, points: float) -> None:
    log.warning("%s: %.1f points per wavelength are few; raise problem.resolution", name, points)


@dataclass(kw_only=True, eq=False)
class Helmholtz(Elliptic):
    """-Laplace u - (frequency / c)^2 u = f on a square, c a sample of `speed`; of second order, indefinite.

    sides: dirichlet, u = 0; neumann, du/dn = 0; absorbing, du/dn = i (frequency / c) u, which makes u complex: two
    channels, its real and its imaginary part. f = source exp(-|x - centre|^2 / (2 width^2)). antenna: on the part of
    the side y = length that is no farther than this from its middle, du/dn is larger by 1 (none on dirichlet sides).
    With p points per wavelength the phase velocity is off by (pi / p)^2 / 6: below p = 8 there is a warning.
    Source: the data set of He, Liu and Xu, MgNO, ICLR 2024, has neumann sides, frequency 1000, source 0, antenna 0.15.
    Raises InputError as every elliptic problem does, on other sides, and if nothing drives the waves.
    """

    name = "helmholtz"
    kinds: ClassVar[tuple[Nodes, ...]] = ("uniform",)
    in_names = ("speed",)

    n: int = 101
    frequency: float = 500.0
    sides: Sides = "neumann"
    speed: Inputs = field(default_factory=WaveSpeed)
    source: float = 1.0
    centre: Sequence[float] = (0.3, 0.4)
    width: float = 0.05
    antenna: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sides not in get_args(Sides):
            raise InputError(f"problem.sides={self.sides!r}; wanted one of {get_args(Sides)}")
        if len(self.centre) != self.dimensions or not self.width > 0:
            raise InputError(
                f"problem.centre={self.centre}, problem.width={self.width}: wanted two numbers, and width > 0"
            )
        if not 0 < self.frequency < inf:
            raise InputError(f"problem.frequency={self.frequency}: wanted a positive, finite number")
        if self.source == 0 and (self.antenna <= 0 or self.sides == "dirichlet"):
            raise InputError("problem.source=0 without an antenna: nothing drives the waves. Set problem.source=1.")

    @property
    def out_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("u_re", "u_im") if self.sides == "absorbing" else ("u",)

    @property
    def parameters(self) -> dict[str, float]:
        return {"frequency": self.frequency}

    def boundary_types(self) -> tuple[Boundary, ...]:
        return ("dirichlet" if self.sides == "dirichlet" else "neumann",) * self.dimensions

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        c = self.speed(self.solved_on, indices, seed)
        points = 2 * pi * float(c.amin()) / (self.frequency * spacing(self.solved_on[0]))
        if points < FEWEST:
            _warn_of(self.name, round(points, 1))
        return c

    def systems(self, a: Tensor, grid: Grid) -> Systems:
        k, weights = self.frequency / inner(a[:, 0], grid), volumes(grid).to(a)
        faces = conductances(torch.ones_like(a[:, 0]), grid)
        reaction, b = -k.square() * weights, (self._bump(grid).to(a) * weights).expand_as(k).clone()
        if self.sides == "absorbing":
            outflow = torch.zeros_like(k)
            for d, axis in enumerate(grid):
                area = areas(grid, d).to(a) / spacing(axis)
                for end in (0, k.shape[d + 1] - 1):
                    outflow.narrow(d + 1, end, 1).add_(k.narrow(d + 1, end, 1) * area)
            reaction, b = torch.complex(reaction, -outflow), torch.complex(b, torch.zeros_like(b))
        if self.antenna > 0 and self.sides != "dirichlet":
            b[:, :, -1] += self._driven(grid[0]).to(a) / spacing(grid[1])
        return Systems(FiniteVolumes(grid, faces, faces, reaction), b, definite=False)

    def _driven(self, axis: Axis) -> Tensor:
        """The part of each node's face, in spacings, that the antenna covers."""
        h, middle = spacing(axis), axis.length / 2
        x = axis.points() - axis.start
        low = (x - h / 2).clamp_min(max(0.0, middle - self.antenna))
        high = (x + h / 2).clamp_max(min(axis.length, middle + self.antenna))
        return ((high - low) / h).clamp_min(0.0)

    def _bump(self, grid: Grid) -> Tensor:
        centre = torch.tensor(list(self.centre), dtype=torch.float64)
        distance2 = (grid.points() - centre).square().sum(-1)
        return self.source * torch.exp(-inner(distance2, grid) / (2 * self.width**2))

    def unknowns(self, u: Tensor, grid: Grid) -> Tensor:
        if self.sides != "absorbing":
            return super().unknowns(u, grid)
        return torch.complex(u[:, 0], u[:, 1])

    def channels(self, x: Tensor) -> Tensor:
        return torch.view_as_real(x).movedim(-1, 1) if x.is_complex() else super().channels(x)
