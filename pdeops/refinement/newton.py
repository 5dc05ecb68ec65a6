"""Newton-Krylov: a predicted trajectory becomes the solution of its equation, to a tolerance, all frames at once."""

from __future__ import annotations

from math import isfinite

import torch
from torch import Tensor

from pdeops.bases.differences import interpolation_matrix
from pdeops.grid import Axis, Grid
from pdeops.problems.base import Problem
from pdeops.refinement.growth import growth_of, newton_step
from pdeops.refinement.mild import Mild
from pdeops.refinement.refined import History, Refined, check_tolerance, grown, joined, judged, refined
from pdeops.solvers.krylov import RecycleSpace

STEPS = 20  # of Newton's method, at most
FORCING = 0.05  # each step reduces the linear residual by this or by ||E|| / ||u||, the last one by what is asked for
SHARE = 0.1  # of the tolerance that the algebraic error may take; the rest is the quadrature's in time
FINEST = 16  # frames for one, at most
GROWTH = 4.0  # of ||E|| in a step, beyond which a part of the step is tried


@torch.no_grad()
def newton_krylov(
    problem: Problem | None,
    a: Tensor,
    u: Tensor,
    grid: Grid,
    known: int,
    *,
    tol: float = 1e-6,
    recycle: RecycleSpace | None = None,
) -> Refined:
    """Solve E(u) = 0 (`Mild`) from predicted trajectories u (B, C, T, *space), the first `known` frames fixed: Newton's
    method, each step by GMRES on I - G'(u) in the L2 norm, until the estimated relative error is within tol.

    The estimate is `error_estimate` times what the last step showed errors to grow by on their way.
    Where the quadrature in time over the given frames is not good enough for tol, frames are inserted: 2, 4, ... for
    one. recycle: a space for `gcrodr` in the place of GMRES.
    Source: the preconditioned form of the a posteriori correction of Cao, Brarda, Li and Chen, Spectral-Refiner, ICLR
    2025. Raises InputError for a problem that does not evolve, and on tolerances that double precision cannot reach.
    """
    check_tolerance(tol)
    parts = zip(a.split(1), u.double().split(1), strict=True)
    return joined([_one(problem, inputs, sample, grid, known, tol, recycle) for inputs, sample in parts])


def _one(
    problem: Problem | None, a: Tensor, u: Tensor, grid: Grid, known: int, tol: float, recycle: RecycleSpace | None
) -> Refined:
    frames, first, every = u, known - 1, 1
    history: History = []
    while True:
        mild = Mild(problem, a, grid, known)
        c, growth = _newton(mild, mild.coefficients(frames), SHARE * tol, recycle, history)
        frames = torch.cat([frames[:, :, :known], mild.values(c[known:])], dim=2)
        estimate = grown(judged(problem, a, frames, grid, known, tol), growth)
        if float(estimate.bound) <= tol or history[-1][1] > SHARE * tol or every == FINEST:
            solution = torch.cat([u[:, :, : first + 1], frames[:, :, known - 1 :: every][:, :, 1:]], dim=2)
            return refined(solution, estimate, tol, history, every)
        every *= 2
        frames, grid, known = _doubled(frames, grid, known)


def _newton(mild: Mild, c: Tensor, goal: float, recycle: RecycleSpace | None, history: History) -> tuple[Tensor, float]:
    """The trajectory of least ||E|| on Newton's way from c, and what errors grow by on their way, as its last step
    showed. Steps that let ||E|| grow fourfold are halved."""
    residual, derivative = mild.linearised(c)
    size, products = float(mild.relative(residual, c)), history[-1][0] if history else 0
    history.append((products, size))
    best, least, growth = c, size, None
    for _ in range(STEPS):
        if size <= goal or not isfinite(size):
            break
        rtol = max(min(FORCING, size), 0.5 * goal / size)  # no more than what Newton's own error leaves is of use
        step, spent, growth = newton_step(mild, c, derivative, residual, rtol, recycle)
        products += spent
        for fraction in (1.0, 0.5, 0.25):
            new = torch.cat([c[: mild.known], c[mild.known :] + fraction * step])
            residual, derivative = mild.linearised(new)
            after = float(mild.relative(residual, new))
            if after < GROWTH * size:
                break
        c, size = new, after
        history.append((products, size))
        if size < least:
            best, least = c, size
    if growth is None:
        growth, spent = growth_of(mild, c)
        products += spent
    history[-1] = (products, least)
    return best, growth


def _doubled(frames: Tensor, grid: Grid, known: int) -> tuple[Tensor, Grid, int]:
    """The predicted frames and those between them, by interpolation; of the known ones, the last."""
    assert grid.time is not None
    points = grid.time.points()
    first = float(points[known - 1])
    axis = Axis("time", 2 * (grid.time.n - known) + 1, float(points[-1]) - first, "uniform", first)
    matrix = interpolation_matrix(points, axis.points()).to(frames)
    return torch.einsum("st,bct...->bcs...", matrix, frames), Grid((axis, *grid.space)), 1
