"""The error bar of a predicted trajectory, without its truth."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.problems.evolution import Evolution
from pdeops.refinement.mild import Mild, evolving
from pdeops.solvers.duhamel import Duhamel
from pdeops.solvers.steppers import Diverged, relative

NODES = 12  # of the quadrature in time; two thirds of them give the floor
WORTH = 1e-3  # a bound below this is told by the solver, whatever its share of the error
RESOLVED = 0.1  # what every other frame may say otherwise where orders are to be believed


class Untold(InputError):
    """Neither quadrature in time nor the solver can tell an error, or there is no field to tell it of."""


How = Literal["duhamel", "shooting", "mixed", "none"]  # mixed: some samples so, some so; none: it cannot be told


class Estimate(NamedTuple):
    """error (B,): the estimated relative L2 error of the predicted frames, of the worst channel; floor (B,): what the
    estimate itself may be wrong by; method: how it was made."""

    error: Tensor
    floor: Tensor
    method: How

    @property
    def bound(self) -> Tensor:
        return self.error + self.floor


def error_estimate(
    problem: Problem | None, a: Tensor, u: Tensor, grid: Grid, known: int, *, smallest: float = 1e-6
) -> Estimate:
    """How far trajectories u (B, C, T, *space) on `grid` are from the solution that goes on from their first `known`
    frames; a (B, C_in, *space): the problem's inputs, of which coefficients are read.

    error = ||E(u)|| / ||u|| with E the accumulated mild residual (`Mild`), by quadrature in time over 12 frames, or all
    if there are fewer; its floor is what two thirds of them say otherwise, and what every other frame says otherwise if
    that is more than 10 %: then frames do not resolve the motion, and polynomials through many are no better than
    through few. Where the floor is above half of the error and above `smallest`, frames are too far apart, and the
    defects are those of the solver from frame to frame (`Evolution.flow`), the floor its own error, which may be above
    the error itself while it is below 1e-3. The truth meant is that of the equation on the fields' own lattice.

    What N does to errors on their way is left aside, so the floor is that of E alone: over windows in which errors
    grow by N (chaos, patterns that divide), the estimate is low: by 3 to 17 times of frozen spots of Gray and Scott.
    Where N damps errors it is high: 5 to 8 times in Fisher's and Allen and Cahn's equations, and far more where the
    symbol has growing modes that N holds in check (Kuramoto-Sivashinsky over tens of time units). `refine`'s
    certificates have N in them, by the length of a Newton step.
    Raises Untold where neither can tell or frames are not finite, and InputError for a problem that does not evolve.
    """
    evolution, mild = evolving(problem), Mild(problem, a, grid, known, NODES)
    if not (finite := u.isfinite().flatten(1).all(1)).all():
        raise Untold(f"the error of sample {int((~finite).nonzero()[0])} cannot be told: its frames are not finite")
    c = mild.coefficients(u)
    tendencies = mild.tendency(c)
    errors = mild.duhamel(c, tendencies)
    found = Estimate(mild.relative(errors, c), _floor(mild, errors, c, tendencies), "duhamel")
    if _doubtful(found, smallest).any():
        found = _by_shooting(evolution, a, u, mild, c)
        if (doubtful := _doubtful(found, max(smallest, WORTH))).any():
            i = int(doubtful.nonzero()[0])
            raise Untold(
                f"the error of sample {i} cannot be told: frames {mild.step:g} apart are too far for quadrature in "
                f"time, and the solver's own error of {float(found.floor[i]):.1e} between frames is not below the "
                f"defect, {float(found.error[i]):.1e}. Lower problem.solver.tolerance, or predict more frames."
            )
    return found._replace(error=torch.hypot(found.error, _outside(u, mild, c)))


def _floor(mild: Mild, errors: Tensor, c: Tensor, tendencies: Tensor) -> Tensor:
    """(B,): what the quadrature in time may be wrong by."""
    rough = mild.formula(max(2 * mild.duhamel.nodes // 3, 1))
    floor = mild.relative(errors - rough(c, tendencies), c)
    first = (len(c) - 1) % 2 if mild.known > 1 else 0
    known = (mild.known - 1 - first) // 2 + 1
    few, n = c[first::2], tendencies[first::2]
    if len(few) == known:  # a single interval tells the floor by its ends, which is more than enough
        return floor
    half = Duhamel(mild.symbol, 2 * mild.step, len(few), known, NODES)
    same = errors[first + 2 * known - mild.known :: 2]
    gap = mild.relative(same - half(few, n), torch.cat([c[: mild.known], few[known:]]))
    return torch.where(gap > RESOLVED, gap.maximum(floor), floor)


def _outside(u: Tensor, mild: Mild, c: Tensor) -> Tensor:
    """(B,): the relative norm of what of the predicted frames the basis does not hold (Nyquist modes), all of it
    error."""
    u = u[:, :, mild.known :].double()
    return relative(u - mild.values(c[mild.known :]), u)


def _doubtful(found: Estimate, smallest: float) -> Tensor:
    return ~((found.floor <= 0.5 * found.error) | (found.floor <= smallest))


def _by_shooting(problem: Evolution, a: Tensor, u: Tensor, mild: Mild, c: Tensor) -> Estimate:
    starts = u[:, :, mild.known - 1 : -1].transpose(1, 2)
    n, times = starts.shape[1], torch.tensor([0.0, mild.step], dtype=torch.float64)
    try:
        flown, wrong = problem.flow(a.repeat_interleave(n, dim=0), starts.flatten(0, 1), times)
    except Diverged as failure:
        sample, frame = divmod(failure.sample, n)
        raise Untold(
            f"the error of sample {sample} cannot be told: frames {mild.step:g} apart are too far for quadrature in "
            f"time, and the solver does not get from frame {frame + mild.known} to the next: {failure.reason}"
        ) from failure
    ends = flown[:, :, 1].unflatten(0, (len(u), n)).transpose(1, 2)
    errors = mild.duhamel.accumulate(c[mild.known :] - mild.coefficients(ends))
    return Estimate(mild.relative(errors, c), wrong.view(len(u), n).sum(1), "shooting")
