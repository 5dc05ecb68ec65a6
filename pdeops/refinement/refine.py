"""Which refinement, for which sample, and when to stop: by the error estimate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.refinement.finetune import MODES, finetune
from pdeops.refinement.growth import growth_of
from pdeops.refinement.mild import Mild
from pdeops.refinement.newton import newton_krylov
from pdeops.refinement.refined import Refined, check_tolerance, grown, joined, judged, refined

Method = Literal["auto", "newton", "finetune"]


@torch.no_grad()
def refine(
    problem: Problem | None,
    a: Tensor,
    u: Tensor,
    grid: Grid,
    known: int,
    *,
    tol: float = 1e-6,
    method: Method = "auto",
    period: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Refined:
    """Predicted trajectories u (B, C, T, *space), their first `known` frames exact, made solutions of the equation
    to an estimated relative L2 error within tol; a (B, C_in, *space): the problem's inputs.

    method: "newton" (`newton_krylov`), "finetune" (`finetune`, by a series in time of `period`), or "auto": what is
    within tol, the length of a Newton step considered, stays as it is, the rest goes by Newton's method, and where
    that does not converge by fine-tuning, which never makes E larger, and by Newton's method from there, and the
    prediction stays where none of them has a smaller bound. progress: told the samples done.
    Raises InputError as these do, and on another method.
    """
    check_choice(tol, method)
    parts: list[Refined] = []
    for inputs, sample in zip(a.split(1), u.double().split(1), strict=True):
        trajectory = problem, inputs, sample, grid, known
        if method == "newton":
            parts.append(newton_krylov(*trajectory, tol=tol))
        elif method == "finetune":
            parts.append(_tuned(*trajectory, tol, period))
        else:
            parts.append(_chosen(*trajectory, tol, period))
        if progress:
            progress(len(parts))
    return joined(parts)


def check_choice(tol: float, method: str) -> None:
    """Raises InputError on what `refine` does not take."""
    check_tolerance(tol)
    if method not in get_args(Method):
        raise InputError(f"method={method!r}: wanted one of {get_args(Method)}")


def _chosen(
    problem: Problem | None, a: Tensor, u: Tensor, grid: Grid, known: int, tol: float, period: float | None
) -> Refined:
    before, products = judged(problem, a, u, grid, known, tol), 0
    if float(before.bound) <= tol:
        mild = Mild(problem, a, grid, known)
        growth, products = growth_of(mild, mild.coefficients(u))
        before = grown(before, growth)
    as_it_is = refined(u, before, tol, [(products, float(before.error))])
    if as_it_is.converged.all():
        return as_it_is
    found = newton_krylov(problem, a, u, grid, known, tol=tol)
    if found.converged.all():
        return found
    parts = [as_it_is, found]
    if u.shape[2] - known > 1:
        tuned = _tuned(problem, a, u, grid, known, tol, period)
        parts += [tuned, newton_krylov(problem, a, tuned.u, grid, known, tol=tol)]
    return min(parts, key=lambda part: float(part.estimate.bound))


def _tuned(
    problem: Problem | None, a: Tensor, u: Tensor, grid: Grid, known: int, tol: float, period: float | None
) -> Refined:
    """By as many modes in time as frames can tell apart."""
    modes = min(MODES, u.shape[2] - known)
    return finetune(problem, a, u, grid, known, tol=tol, period=period, modes=modes)
