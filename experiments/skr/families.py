"""The sequences of systems that are compared: correctly assembled problems, and the published code's matrix as what
it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from pdeops.grid import Grid
from pdeops.problems.coefficients import LogNormal, NeumannMatern, TwoPhase, WaveSpeed
from pdeops.problems.convection_diffusion import ConvectionDiffusion
from pdeops.problems.darcy import Darcy, Darcy3D
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.helmholtz import Helmholtz
from pdeops.problems.inputs import Matern
from pdeops.solvers.systems import Systems

FIELD = NeumannMatern(tau=3.0, alpha=2.0, amplitude=3.0)
MEDIUM = WaveSpeed(of=NeumannMatern(tau=3.0, alpha=2.0, amplitude=0.5), mean=20.0, spread=1.5)


@dataclass
class Sequence:
    """Systems in the order in which they were drawn, what greedy sorting compares, and the problem (None: no PDE)."""

    matrices: list[sparse.csr_array]
    rhs: list[np.ndarray]
    features: np.ndarray
    systems: Systems | None
    definite: bool

    @property
    def unknowns(self) -> int:
        return len(self.rhs[0])


FAMILIES: dict[str, Callable[[int], Elliptic]] = {
    "darcy log-normal": lambda n: Darcy(n=n + 2, permeability=LogNormal(of=FIELD, standardise=True)),
    "darcy two-phase": lambda n: Darcy(n=n + 2, permeability=TwoPhase(of=FIELD)),
    "helmholtz k0=12": lambda n: Helmholtz(n=n + 2, frequency=12 * 20.0, sides="dirichlet", speed=MEDIUM),
    "helmholtz k0=n/2": lambda n: Helmholtz(n=n + 2, frequency=n / 2 * 20.0, sides="dirichlet", speed=MEDIUM),
    "convection-diffusion": lambda n: ConvectionDiffusion(n=n + 2),
    "darcy 3-d": lambda n: Darcy3D(n=n + 2, permeability=LogNormal(of=NeumannMatern(alpha=2.5), standardise=True)),
}
MISLABELLED = "mislabelled darcy"


def draw(family: str, n: int, count: int, seed: int = 0) -> Sequence:
    """`count` systems of n unknowns per side."""
    if family == MISLABELLED:
        return _mislabelled(n, count, seed)
    problem = FAMILIES[family](n)
    a = problem.sample(range(count), seed)
    systems = problem.systems(a, problem.solved_on)
    features = (a.log() if (a > 0).all() else a).flatten(1).numpy()
    matrices = [systems.operator.matrix(i) for i in range(count)]
    return Sequence(matrices, [b.flatten().numpy() for b in systems.b], features, systems, systems.definite)


def _mislabelled(n: int, count: int, seed: int) -> Sequence:
    """What the published code assembles for Darcy's equation on n x n unknowns: row p reads 4 k_p u_p - sum_q k_q
    u_q over its neighbours q, which is -Laplace (k u) and not -div(k grad u), and the neighbour in the line before
    takes its k from two places further on. Not symmetric; most have eigenvalues of negative real part. k = exp(g), g a
    periodic Gaussian field."""
    side = n + 2
    field = Matern(variance=2 * 7.0**3, tau=7.0, alpha=2.5)
    k = field(Grid.periodic((side, side)), range(count), seed)[:, 0].exp()
    place, inner = np.arange(n * n), k[:, 1:-1, 1:-1].flatten(1).numpy()
    column = place % n
    matrices = []
    for values in inner:
        rows, columns, entries = [place], [place], [4 * values]
        shifted = np.minimum(place - n + 2, n * n - 1)
        for where, step, source in (
            (column < n - 1, 1, place + 1),
            (column > 0, -1, place - 1),
            (place < n * (n - 1), n, place + n),
            (place >= n, -n, shifted),
        ):
            p = place[where]
            rows.append(p)
            columns.append(p + step)
            entries.append(-values[source[where]])
        matrices.append(
            sparse.csr_array(
                (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(n * n, n * n)
            )
        )
    b = np.full(n * n, 1 / (side - 1) ** 2)
    return Sequence(matrices, [b] * count, k.flatten(1).numpy(), None, definite=False)


class Plain:
    """A matrix alone, where a preconditioner asks for an operator."""

    def __init__(self, matrix: sparse.csr_array) -> None:
        self._matrix = matrix
        self.diagonal = torch.from_numpy(matrix.diagonal())[None]

    def matrix(self) -> sparse.csr_array:
        return self._matrix
