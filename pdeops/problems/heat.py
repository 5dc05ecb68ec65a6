"""Steady heat conduction between two sides of given temperatures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Boundary, Grid
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.inputs import Inputs, apart
from pdeops.solvers.faces import Mean, conductances
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes, inner, volumes


@dataclass(kw_only=True, eq=False)
class Heat(Elliptic):
    """-div(k grad T) = q on a square, T = left at x = 0 and T = right at x = length, the other sides insulated.

    k is a sample of `conductivity`, q one of `source`; left and right are drawn uniformly from their ranges and are
    input channels, constant in space. mean: of k at the faces, harmonic or arithmetic.
    Raises InputError as every elliptic problem does, and on ranges that are not [low, high].
    """

    name = "heat"
    in_names = ("conductivity", "source", "left", "right")
    out_names = ("temperature",)

    conductivity: Inputs = field(default_factory=lambda: LogNormal(of=NeumannMatern()))
    source: Inputs = field(default_factory=lambda: NeumannMatern(amplitude=100.0))
    left: Sequence[float] = (-100.0, 0.0)
    right: Sequence[float] = (0.0, 100.0)
    mean: Mean = "harmonic"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("left", "right"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not bounds[0] <= bounds[1]:
                raise InputError(f"problem.{name}={bounds}: wanted [low, high]")

    def boundary_types(self) -> tuple[Boundary, ...]:
        return "dirichlet", "neumann"

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        grid = self.solved_on
        k = self.conductivity(grid, indices, seed)
        q = self.source(grid, indices, apart(seed, "source"))
        low, high = np.array([self.left, self.right]).T
        ends = [np.random.default_rng([apart(seed, "temperatures"), i]).uniform(low, high) for i in indices]
        temperatures = torch.from_numpy(np.stack(ends)).view(-1, 2, 1, 1).expand(-1, 2, *grid.shape)
        return torch.cat([k, q, temperatures], dim=1)

    def systems(self, a: Tensor, grid: Grid) -> Systems:
        faces = conductances(a[:, 0], grid, self.mean)
        operator = FiniteVolumes(grid, faces, faces)
        left, right = (x[:, :1] for x in self._ends(a))
        b = inner(a[:, 1], grid) * volumes(grid).to(a) + operator.inflow(0, left, right)
        return Systems(operator, b, definite=True)

    def _ends(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The temperatures of the sides (B, 1, 1)."""
        left, right = (a[:, c].flatten(1).mean(1).view(-1, 1, 1) for c in (2, 3))
        return left, right

    def boundary(self, a: Tensor, grid: Grid) -> Tensor | float:
        if self.nodes == "cell":
            return 0.0
        left, right = self._ends(a)
        values = a.new_zeros((a.shape[0], 1, *grid.shape))
        values[:, :, 0], values[:, :, -1] = left, right
        return values
