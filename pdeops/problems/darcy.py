"""Darcy flow through a porous medium."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pdeops.grid import Grid
from pdeops.problems.coefficients import NeumannMatern, TwoPhase
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.inputs import Inputs
from pdeops.solvers.faces import Mean, conductances
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes, volumes


@dataclass(kw_only=True, eq=False)
class Darcy(Elliptic):
    """-div(k grad p) = source on a square, p = 0 on its sides; k is a sample of `permeability`.

    Of second order where k is smooth. mean: of k at the faces, harmonic (which keeps the flux through a jump that lies
    on a face) or arithmetic.
    """

    name = "darcy"
    in_names = ("permeability",)
    out_names = ("pressure",)

    permeability: Inputs = field(default_factory=lambda: TwoPhase(of=NeumannMatern(tau=3.0, alpha=2.0)))
    source: float = 1.0
    mean: Mean = "harmonic"

    @property
    def symmetric(self) -> bool:
        return self.dimensions == 2

    @property
    def parameters(self) -> dict[str, float]:
        return {"source": self.source}

    def sample(self, indices, seed):
        return self.permeability(self.solved_on, indices, seed)

    def systems(self, a: Tensor, grid: Grid) -> Systems:
        faces = conductances(a[:, 0], grid, self.mean)
        b = (self.source * volumes(grid).to(a)).expand(len(a), *(-1,) * grid.ndim)
        return Systems(FiniteVolumes(grid, faces, faces), b, definite=True)


@dataclass(kw_only=True, eq=False)
class Darcy3D(Darcy):
    """The same in a cube."""

    name = "darcy3d"
    dimensions = 3
    n: int = 33
