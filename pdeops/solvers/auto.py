"""The choice of a linear solver."""

from __future__ import annotations

from dataclasses import dataclass

from pdeops.solvers.direct import Direct
from pdeops.solvers.multigrid import Multigrid
from pdeops.solvers.preconditioners import ILU
from pdeops.solvers.sequences import GCRODR
from pdeops.solvers.systems import LinearSolver, Progress, Solves, Systems
from pdeops.solvers.transforms import Transforms

MOST_STEPS = 100  # of multigrid on a pilot sample: beyond, a direct solver is quicker
FACTORED = {1: 10**6, 2: 600**2, 3: 30**3}  # unknowns up to which factors fit in memory and are quick, by dimensions


@dataclass(frozen=True)
class Auto(LinearSolver):
    """The solver that suits a problem, found out once, on pilot samples, and by counts, so that it is the same on
    every machine.

    In this order: transforms, where coefficients are constant; multigrid, where systems are symmetric and definite on a
    box and the pilot converges; a direct solver, up to 600 x 600 or 30 x 30 x 30 unknowns; else GCRO-DR with incomplete
    factors, with recycling where that pays. Why: experiments/skr.
    """

    tolerance: float = 1e-8

    @property
    def chooses(self) -> bool:
        return True

    def settled(self, pilot: Systems) -> tuple[LinearSolver, str]:
        operator, count = pilot.operator, f"{len(pilot)} pilot samples"
        if pilot.constant:
            return Transforms(self.tolerance), "solver: transforms, as coefficients are constant"
        note = ""
        multigrid = Multigrid(self.tolerance)
        if multigrid.unfit(pilot) is None:
            solves = multigrid.solve(pilot)
            steps = int(solves.iterations.max())
            if (solves.residual <= self.tolerance).all() and steps <= MOST_STEPS:
                return multigrid, f"solver: multigrid, which took at most {steps} steps on {count}"
            note = f", as multigrid took {steps} steps or did not converge on {count}"
        kind = "symmetric" if operator.symmetric else "unsymmetric"
        if operator.size <= FACTORED[len(operator.shape)]:
            return Direct(self.tolerance), f"solver: direct, for {operator.size} unknowns of {kind} systems{note}"
        solver, reason = GCRODR(self.tolerance, ILU()).settled(pilot)
        return solver, f"solver: gcrodr, for {operator.size} unknowns of {kind} systems{note}; {reason}"

    def solve_scaled(self, systems: Systems, progress: Progress) -> Solves:
        return self.settled(systems[:6])[0].solve(systems, progress)
