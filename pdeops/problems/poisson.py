"""Poisson's equation by finite volumes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Boundary, Grid
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.inputs import Inputs
from pdeops.problems.processes import GaussianProcess
from pdeops.solvers.faces import conductances
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes, volumes

Sides = Literal["dirichlet", "neumann"]


@dataclass(kw_only=True, eq=False)
class Poisson(Elliptic):
    """-Laplace u = f on a square, f a sample of `source`; of second order.

    sides: dirichlet, u = 0; neumann, no flux: f and u are then without their means over the square.
    """

    name = "poisson"
    in_names = ("source",)
    out_names = ("u",)

    sides: Sides = "dirichlet"
    source: Inputs = field(default_factory=GaussianProcess)

    def __post_init__(self) -> None:
        if self.sides not in get_args(Sides):
            raise InputError(f"problem.sides={self.sides!r}; wanted one of {get_args(Sides)}")
        super().__post_init__()

    @property
    def symmetric(self) -> bool:
        return self.dimensions == 2

    def boundary_types(self) -> tuple[Boundary, ...]:
        return (self.sides,) * self.dimensions

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        return self._solvable(self.source(self.solved_on, indices, seed), self.solved_on)

    def _solvable(self, f: Tensor, grid: Grid) -> Tensor:
        """f (B, 1, *grid), between neumann sides without its mean over the square."""
        if self.sides == "dirichlet":
            return f
        weights = volumes(grid).to(f)
        return f - (f * weights).sum((-2, -1), keepdim=True) / weights.sum()

    def systems(self, a: Tensor, grid: Grid) -> Systems:
        one = torch.ones(1, *grid.shape, dtype=a.dtype, device=a.device)
        faces = tuple(f.expand(len(a), *f.shape[1:]) for f in conductances(one, grid))
        b = self.unknowns(self._solvable(a, grid), grid) * volumes(grid).to(a)
        singular = self.sides == "neumann"
        return Systems(FiniteVolumes(grid, faces, faces), b, definite=True, singular=singular, constant=True)
