"""Steady transport by a flow without divergence, and diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid, Nodes
from pdeops.problems.coefficients import NeumannMatern
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.inputs import Inputs
from pdeops.solvers.faces import Fluxes, conductances, exchange
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes, spacing, volumes


@dataclass(kw_only=True, eq=False)
class ConvectionDiffusion(Elliptic):
    """div(v u - diffusivity grad u) = source on a square, u = 0 on its sides; v = (psi_y, -psi_x), psi a sample of
    `stream`.

    The fluxes of v are differences of psi between the corners of volumes, so that v has no divergence on the nodes
    either. fluxes: exponential (Scharfetter and Gummel's, of second order, without oscillations at any diffusivity),
    upwind (of first order, without oscillations) or central (of second order, with oscillations where |v| h > 2
    diffusivity). Raises InputError as every elliptic problem does, and if the diffusivity is not positive.
    """

    name = "convection_diffusion"
    kinds: ClassVar[tuple[Nodes, ...]] = ("uniform",)
    in_names = ("stream",)
    out_names = ("u",)

    diffusivity: float = 0.01
    stream: Inputs = field(default_factory=lambda: NeumannMatern(tau=3.0, alpha=1.5, amplitude=1.0))
    source: float = 1.0
    fluxes: Fluxes = "exponential"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.diffusivity > 0:
            raise InputError(f"problem.diffusivity={self.diffusivity}; wanted a positive number")

    @property
    def parameters(self) -> dict[str, float]:
        return {"diffusivity": self.diffusivity, "source": self.source}

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        return self.stream(self.solved_on, indices, seed)

    def systems(self, a: Tensor, grid: Grid) -> Systems:
        psi = a[:, 0]
        corners = (psi[:, :-1, :-1] + psi[:, 1:, :-1] + psi[:, :-1, 1:] + psi[:, 1:, 1:]) / 4
        speeds = (torch.diff(corners, dim=2) / spacing(grid[1]), -torch.diff(corners, dim=1) / spacing(grid[0]))
        diffusion = conductances(torch.full_like(psi, self.diffusivity), grid)
        pairs = []
        for axis, faces, v in zip(grid, diffusion, speeds, strict=True):
            pairs.append(exchange(faces, v * spacing(axis) / self.diffusivity, self.fluxes))
        forward, backward = (tuple(x) for x in zip(*pairs, strict=True))
        b = (self.source * volumes(grid).to(a)).expand(len(a), *(-1,) * grid.ndim)
        return Systems(FiniteVolumes(grid, forward, backward), b, definite=False)
