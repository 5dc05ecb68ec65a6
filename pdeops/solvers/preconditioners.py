"""Preconditioners of single systems, for Krylov methods on a CPU: each makes of an operator a map r -> M r."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spilu, splu

from pdeops.errors import InputError
from pdeops.solvers.faces import conductances
from pdeops.solvers.poisson import FastPoisson, ScaledPoisson
from pdeops.solvers.vcycle import VCycle
from pdeops.solvers.volumes import FiniteVolumes, volumes

Map = Callable[[np.ndarray], np.ndarray]


class Preconditioner(ABC):
    """Makes M, an approximate inverse, of the operator of one system."""

    @abstractmethod
    def of(self, operator: FiniteVolumes) -> Map:
        """M as a map of flat vectors."""


@dataclass(frozen=True)
class Jacobi(Preconditioner):
    """M = D^-1, D the diagonal."""

    def of(self, operator: FiniteVolumes) -> Map:
        inverse = 1 / operator.diagonal[0].flatten().numpy()
        return lambda r: inverse * r


@dataclass(frozen=True)
class SOR(Preconditioner):
    """Symmetric successive over-relaxation: M = omega (2 - omega) (D + omega U)^-1 D (D + omega L)^-1.

    Raises InputError unless 0 < omega < 2.
    """

    omega: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.omega < 2:
            raise InputError(f"omega={self.omega}: wanted 0 < omega < 2")

    def of(self, operator: FiniteVolumes) -> Map:
        matrix, omega = operator.matrix(), self.omega
        diagonal = matrix.diagonal()
        middle = sparse.diags_array(diagonal)
        # factors of a triangle are that triangle
        natural = {"permc_spec": "NATURAL", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
        lower = _factored(splu, middle + omega * sparse.tril(matrix, -1), **natural)
        upper = _factored(splu, middle + omega * sparse.triu(matrix, 1), **natural)
        return lambda r: omega * (2 - omega) * upper.solve(diagonal * lower.solve(r))


@dataclass(frozen=True)
class ILU(Preconditioner):
    """Incomplete factors (SuperLU's) without entries below drop_tolerance of their column, of at most fill times the
    entries of A."""

    drop_tolerance: float = 1e-3
    fill: float = 4.0

    def of(self, operator: FiniteVolumes) -> Map:
        options = {"drop_tol": self.drop_tolerance, "fill_factor": self.fill}
        return _factored(spilu, operator.matrix(), **options).solve


def _factored(method: Callable[..., Any], matrix: Any, **options: Any) -> Any:
    try:
        return method(matrix.tocsc(), **options)
    except RuntimeError as error:  # a zero pivot
        raise InputError(
            f"no factors for a preconditioner: {error}. Take another, or lower drop_tolerance and raise fill"
        ) from error


@dataclass(frozen=True)
class Cycle(Preconditioner):
    """One multigrid cycle (`VCycle`). Raises InputError on operators that are not real, symmetric and on a box."""

    def of(self, operator: FiniteVolumes) -> Map:
        if not operator.symmetric or operator.dtype.is_complex or any(axis.periodic for axis in operator.grid):
            raise InputError(
                "a multigrid cycle is for real symmetric operators on boxes. Take ILU, or no preconditioner."
            )
        # in double precision: spaces that are recycled need a map that is linear to round-off
        cycle, shape = VCycle(operator, torch.float64), operator.shape
        return lambda r: cycle(torch.from_numpy(r).view(1, *shape)).flatten().numpy()


@dataclass(frozen=True)
class Poisson(Preconditioner):
    """A fast Poisson solver, scaled by the conductances where these vary (`ScaledPoisson`), shifted by the mean
    reaction.

    smallest: bound on its divisors' modulus relative to the least eigenvalue that is not zero, for shifts near another.
    """

    smallest: float = 0.5

    def of(self, operator: FiniteVolumes) -> Map:
        grid, weights = operator.grid, volumes(operator.grid)
        faces = conductances(torch.ones(1, *grid.shape, dtype=torch.float64), grid)
        unit = FiniteVolumes(grid, faces, faces).diagonal[0]
        reaction = torch.zeros_like(unit) if operator.reaction is None else operator.reaction[0]
        k = (operator.diagonal[0] - reaction).real / unit
        shift = complex((reaction / (weights * k)).mean())
        eigenvalues = FastPoisson(grid, smallest=1.0).basis.eigenvalues
        least = float(eigenvalues[eigenvalues > 1e-12 * eigenvalues.max()].min())
        solver = FastPoisson(grid, shift=shift if shift.imag else shift.real, smallest=self.smallest * least)
        inverse, shape = ScaledPoisson(solver, k), operator.shape
        return lambda r: inverse(torch.from_numpy(r).view(shape) / weights).flatten().numpy()
