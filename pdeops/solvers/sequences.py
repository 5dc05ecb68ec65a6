"""Krylov methods on sequences of systems, one after the other on a CPU."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch

from pdeops.errors import InputError
from pdeops.solvers import krylov
from pdeops.solvers.preconditioners import ILU, Map, Preconditioner
from pdeops.solvers.solve import Solve
from pdeops.solvers.systems import LinearSolver, Progress, Solves, Systems


@dataclass(frozen=True)
class Krylov(LinearSolver):
    """A Krylov method with a preconditioner (None: without).

    maxiter: steps per system. Raises InputError on a tolerance or limit out of range.
    """

    tolerance: float = 1e-8
    preconditioner: Preconditioner | None = None
    maxiter: int = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.maxiter < 1:
            raise InputError(f"problem.solver.maxiter={self.maxiter}: wanted at least 1")

    def solve_scaled(self, systems: Systems, progress: Progress) -> Solves:
        step, b = self.begin(), systems.solvable().cpu()
        operator, solves = systems.operator.cpu(), []
        for i, b_i in enumerate(b):
            one = operator[[i]]
            M = self.preconditioner.of(one) if self.preconditioner else None
            solves.append(step(one.matrix(), b_i.flatten().numpy(), M))
            progress((i + 1) / len(b))
        x = torch.from_numpy(np.stack([s.x for s in solves])).view(b.shape).to(systems.b.device)
        return Solves(
            systems.centred(x),
            systems.residual(x),
            torch.tensor([s.iterations for s in solves]),
            torch.tensor([s.applications for s in solves]),
            tuple(s.reason for s in solves),
        )

    @abstractmethod
    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        """The method as a function of A, b and M, for one sequence."""

    def _options(self) -> dict[str, Any]:
        # a little less, as another order of summation may find the residual a little larger
        return {"rtol": 0.99 * self.tolerance, "maxiter": self.maxiter}


@dataclass(frozen=True)
class CG(Krylov):
    """Conjugate gradients, for symmetric positive definite systems."""

    def unfit(self, systems: Systems) -> str | None:
        fit = _symmetric(systems) and systems.definite
        if isinstance(self.preconditioner, ILU):
            return "incomplete LU factors are not symmetric, as conjugate gradients need a preconditioner"
        return None if fit else "conjugate gradients are for symmetric positive definite systems"

    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        return lambda A, b, M: krylov.cg(A, b, M=M, **self._options())


@dataclass(frozen=True)
class MINRES(Krylov):
    """The minimal residual method, for real symmetric systems (and definite preconditioners)."""

    def unfit(self, systems: Systems) -> str | None:
        return _only_symmetric(self, systems)

    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        return lambda A, b, M: krylov.minres(A, b, M=M, **self._options())


@dataclass(frozen=True)
class BiCGStab(Krylov):
    """The stabilised biconjugate gradient method, for any system."""

    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        return lambda A, b, M: krylov.bicgstab(A, b, M=M, **self._options())


@dataclass(frozen=True)
class GMRES(Krylov):
    """GMRES restarted every m steps, for any system."""

    m: int = 40

    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        return lambda A, b, M: krylov.gmres(A, b, M=M, m=self.m, **self._options())


@dataclass(frozen=True)
class Recycling(Krylov):
    """A Krylov method in cycles of m vectors of which k survive a restart and, with `recycle`, a system.

    recycle: "auto" solves six neighbouring samples with and without, and takes what needs fewer products with the
    operator; it is decided once per data set. sort: samples are solved in an order in which neighbours are alike;
    only with recycling. Source: Wang et al., ICLR 2024.
    """

    m: int = 40
    k: int = 20
    recycle: bool | Literal["auto"] = "auto"
    sort: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.k < self.m:
            raise InputError(f"problem.solver.m={self.m}, problem.solver.k={self.k}: wanted 0 <= k < m")
        if self.recycle not in (True, False, "auto"):
            raise InputError(f"problem.solver.recycle={self.recycle!r}: wanted auto, true or false")

    @property
    def chooses(self) -> bool:
        return self.recycle == "auto"

    @property
    def sorts(self) -> bool:
        return self.sort and self.recycle is not False

    def _options(self) -> dict[str, Any]:
        space = krylov.RecycleSpace() if self.recycle is True else None
        return super()._options() | {"m": self.m, "k": self.k, "recycle": space}

    def settled(self, pilot: Systems) -> tuple[Self, str]:
        if self.recycle != "auto":
            return self, ""
        counts = []
        for recycle in (False, True):
            solves = replace(self, recycle=recycle).solve(pilot)
            # the first system has nothing to recycle
            counts.append(int(solves.applications[1:].sum()) if (solves.residual <= self.tolerance).all() else None)
        cold, warm = counts
        pays = warm is not None and (cold is None or warm < cold)
        words = ["did not converge" if c is None else f"took {c} products with the operator" for c in (warm, cold)]
        return (
            replace(self, recycle=pays),
            f"recycling is {'on' if pays else 'off'}: {len(pilot) - 1} neighbouring pilot samples {words[0]} with it "
            f"and {words[1]} without it",
        )


@dataclass(frozen=True)
class GCRODR(Recycling):
    """GMRES with deflated restarting and recycling, for any system."""

    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        options = self._options()
        return lambda A, b, M: krylov.gcrodr(A, b, M=M, **options)


@dataclass(frozen=True)
class RMINRES(Recycling):
    """The minimal residual method with recycling, for symmetric systems (and definite preconditioners): the products of
    GCRO-DR in about half of its time, as steps are short. Without recycling it is MINRES."""

    m: int = 60

    def unfit(self, systems: Systems) -> str | None:
        return _only_symmetric(self, systems)

    def begin(self) -> Callable[[Any, np.ndarray, Map | None], Solve]:
        options = self._options()
        return lambda A, b, M: krylov.rminres(A, b, M=M, **options)


def _symmetric(systems: Systems) -> bool:
    return systems.operator.symmetric and not systems.operator.dtype.is_complex


def _only_symmetric(solver: Krylov, systems: Systems) -> str | None:
    if isinstance(solver.preconditioner, ILU):
        return "incomplete LU factors are not symmetric, as the minimal residual method needs a preconditioner"
    return None if _symmetric(systems) else "the minimal residual method is for real symmetric systems"
