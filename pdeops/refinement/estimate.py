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
from pdeops.solvers.steppers import Diverged, floored

ROUGH, FINE = 8, 12  # nodes of the quadrature in time that gives the floor, and of the one that gives the error


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

    error = ||E(u)|| / ||u|| with E the accumulated mild residual (`Mild`), by quadrature in time over 12 frames; its
    floor is what 8 frames say otherwise. Where the floor is above half of the error and above `smallest`, frames are
    too far apart, and the defects are those of the solver from frame to frame (`Evolution.flow`), the floor its own
    error. The truth meant is that of the equation on the fields' own lattice.
    Raises InputError where neither can tell, and for a problem that does not evolve.
    """
    evolution, mild = evolving(problem), Mild(problem, a, grid, known, FINE)
    c = mild.coefficients(u)
    tendencies, rough = mild.tendency(c), mild.formula(ROUGH)
    errors = mild.duhamel.accumulate(mild.duhamel.defects(c, tendencies))
    gap = errors - rough.accumulate(rough.defects(c, tendencies))
    found = Estimate(mild.relative(errors, c), mild.relative(gap, c), "duhamel")
    if _doubtful(found, smallest).any():
        found = _by_shooting(evolution, a, u, mild, c)
        if (doubtful := _doubtful(found, smallest)).any():
            i = int(doubtful.nonzero()[0])
            raise InputError(
                f"the error of sample {i} cannot be told: frames {mild.step:g} apart are too far for quadrature in "
                f"time, and the solver's own error of {float(found.floor[i]):.1e} between frames is not below the "
                f"defect, {float(found.error[i]):.1e}. Lower problem.solver.tolerance, or predict more frames."
            )
    return found._replace(error=torch.hypot(found.error, _outside(u, mild, c)))


def _outside(u: Tensor, mild: Mild, c: Tensor) -> Tensor:
    """(B,): the relative norm of what of the predicted frames the basis does not hold (Nyquist modes), all of it
    error."""
    u, held = u[:, :, mild.known :].double().flatten(2), mild.values(c[mild.known :]).flatten(2)
    return (torch.linalg.vector_norm(u - held, dim=2) / floored(torch.linalg.vector_norm(u, dim=2))).amax(1)


def _doubtful(found: Estimate, smallest: float) -> Tensor:
    return ~((found.floor <= 0.5 * found.error) | (found.floor <= smallest))


def _by_shooting(problem: Evolution, a: Tensor, u: Tensor, mild: Mild, c: Tensor) -> Estimate:
    starts = u[:, :, mild.known - 1 : -1].transpose(1, 2)
    n, times = starts.shape[1], torch.tensor([0.0, mild.step], dtype=torch.float64)
    try:
        flown, wrong = problem.flow(a.repeat_interleave(n, dim=0), starts.flatten(0, 1), times)
    except Diverged as failure:
        sample, frame = divmod(failure.sample, n)
        raise InputError(
            f"the error of sample {sample} cannot be told: frames {mild.step:g} apart are too far for quadrature in "
            f"time, and the solver does not get from frame {frame + mild.known} to the next: {failure.reason}"
        ) from failure
    ends = flown[:, :, 1].unflatten(0, (len(u), n)).transpose(1, 2)
    errors = mild.duhamel.accumulate(c[mild.known :] - mild.coefficients(ends))
    return Estimate(mild.relative(errors, c), wrong.view(len(u), n).sum(1), "shooting")
