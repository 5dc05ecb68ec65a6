"""What refinement gives back."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.refinement.estimate import Estimate, How, Untold, error_estimate

History = list[tuple[int, float]]


class Refined(NamedTuple):
    """u (B, C, T, *space): the refined trajectories, the known frames as they were; estimate: theirs; converged (B,):
    whether their estimated error, with what it grows by on its way, is within the tolerance; iterations (B,):
    products with the linearised operator, or evaluations of the residual and its gradient; frames (B,): instants
    solved for, for each predicted frame; history: of each sample, (iterations so far, ||E|| / ||u||) on the way."""

    u: Tensor
    estimate: Estimate
    converged: Tensor
    iterations: Tensor
    frames: Tensor
    history: list[History]


def check_tolerance(tol: float) -> None:
    """Raises InputError on what double precision cannot reach, or is none."""
    if not (isinstance(tol, float | int) and 1e-12 <= tol < 1):
        raise InputError(f"tol={tol!r}: wanted a relative error between 1e-12 and 1")


def refined(u: Tensor, estimate: Estimate, tol: float, history: History, frames: int = 1) -> Refined:
    """Of one sample u (1, C, T, *space)."""
    converged = estimate.bound <= tol
    return Refined(u, estimate, converged, torch.tensor([history[-1][0]]), torch.tensor([frames]), [history])


def grown(estimate: Estimate, growth: float) -> Estimate:
    """An estimate with what N does to errors on their way (`growth_of`), where that is for the worse."""
    factor = max(growth, 1.0)
    return estimate._replace(error=factor * estimate.error, floor=factor * estimate.floor)


def joined(parts: Sequence[Refined]) -> Refined:
    """The results of several samples, as one."""
    methods = {part.estimate.method for part in parts}
    method: How = methods.pop() if len(methods) == 1 else "mixed"
    estimate = Estimate(
        torch.cat([part.estimate.error for part in parts]), torch.cat([part.estimate.floor for part in parts]), method
    )
    return Refined(
        torch.cat([part.u for part in parts]),
        estimate,
        torch.cat([part.converged for part in parts]),
        torch.cat([part.iterations for part in parts]),
        torch.cat([part.frames for part in parts]),
        [history for part in parts for history in part.history],
    )


def judged(problem: Problem | None, a: Tensor, u: Tensor, grid: Grid, known: int, tol: float) -> Estimate:
    """The error estimate of one sample for a tolerance; infinite where it cannot be told."""
    try:
        return error_estimate(problem, a, u, grid, known, smallest=0.5 * tol)
    except Untold:
        unknown = torch.full((len(u),), inf, dtype=torch.float64, device=u.device)
        return Estimate(unknown, unknown, "none")
