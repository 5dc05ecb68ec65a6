"""Fine-tuning: the output layer's Fourier series in time and space, optimised until it satisfies the equation."""

from __future__ import annotations

from collections.abc import Callable
from math import pi
from typing import Literal, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Sobolev
from pdeops.problems.base import Problem
from pdeops.refinement.growth import growth_of
from pdeops.refinement.mild import Mild
from pdeops.refinement.refined import History, Refined, check_tolerance, grown, joined, judged, refined

Objective = Literal["mild", "residual"]
MODES = 17  # of the series in time
PAIRS = 50  # that L-BFGS keeps
CHUNK = 10  # iterations between two looks at the error


@torch.no_grad()
def finetune(
    problem: Problem | None,
    a: Tensor,
    u: Tensor,
    grid: Grid,
    known: int,
    *,
    tol: float = 1e-6,
    iterations: int = 100,
    period: float | None = None,
    modes: int = MODES,
    objective: Objective = "mild",
) -> Refined:
    """Add to each prediction the series sum_f z_f(x) (exp(2 pi i f t / period) - 1), t since the last known frame, that
    makes a norm of its residual least: z_f has all modes of the lattice, f those of `modes` numbers around zero.

    It is the last, linear layer of a spatiotemporal FNO with its truncation lifted and all else frozen: for one sample,
    weights on fixed features and biases span the same fields; and it serves any other model as well.
    period: that of the model's series; None, or one that the predicted window is longer than, as a rollout's is, for
    one and a half times the window. objective: "mild", the accumulated mild residual in L2, which is preconditioned; or
    "residual", the strong residual in H^-1, which the source takes. By L-BFGS in double precision from z = 0, the
    coordinates orthonormal in L2, for `iterations` evaluations or until ||E|| / ||u|| (`Mild`) is within tol / 2.
    Source: Cao, Brarda, Li and Chen, Spectral-Refiner, ICLR 2025, algorithm 2; by Adam there.
    Raises InputError as `newton_krylov` does, and on more modes than frames can tell apart.
    """
    check_tolerance(tol)
    if objective not in get_args(Objective):
        raise InputError(f"objective={objective!r}: wanted one of {get_args(Objective)}")
    if iterations < 1:
        raise InputError(f"iterations={iterations}: wanted at least 1")
    predicted = u.shape[2] - known
    if predicted < 2:
        raise InputError("fine-tuning takes a series in time over at least two predicted frames; there is one")
    if not 1 <= modes // 2 <= predicted // 2:
        raise InputError(f"modes={modes} in time: wanted 2 to {predicted}, the predicted frames")
    parts = []
    for inputs, sample in zip(a.split(1), u.double().split(1), strict=True):
        mild = Mild(problem, inputs, grid, known)
        matrix = _orthonormal(mild.step * torch.arange(1, predicted + 1), period, modes).to(sample)
        measure = _measure(mild, inputs, objective)
        c, history = _least(mild, mild.coefficients(sample), matrix, measure, 0.5 * tol, iterations)
        tuned = torch.cat([sample[:, :, :known], mild.values(c[known:])], dim=2)
        growth, _ = growth_of(mild, mild.coefficients(tuned))  # E sees less of what is left, as it was made small
        parts.append(refined(tuned, grown(judged(problem, inputs, tuned, grid, known, tol), growth), tol, history))
    return joined(parts)


def _orthonormal(times: Tensor, period: float | None, modes: int) -> Tensor:
    """(T, 2 floor(modes / 2)): an orthonormal basis, over the frames, of the series that vanish at time 0."""
    window = float(times[-1])
    span = period if period and period > window else 1.5 * window
    angle = 2 * pi / span * torch.outer(times.double(), torch.arange(1, modes // 2 + 1))
    return torch.linalg.qr(torch.cat([angle.cos() - 1, angle.sin()], dim=1))[0]


def _measure(mild: Mild, a: Tensor, objective: Objective) -> Callable[[Tensor], Tensor]:
    """The square of the norm that is made least, of trajectories in coefficients."""
    if objective == "mild":
        return lambda c: (mild.scale(c).detach() * mild(c)).abs().square().sum()
    time, start = mild.grid[0], mild.known - 1
    points = time.points()[start:]
    axis = Axis(time.name, len(points), float(points[-1] - points[0]), "uniform", float(points[0]))
    grid = Grid((axis, *mild.grid.space))
    norm = Sobolev(grid, -1)
    return lambda c: norm(mild.evolution.residual(a.double(), mild.values(c[start:]), grid)).square().sum()


def _least(
    mild: Mild, c: Tensor, matrix: Tensor, measure: Callable[[Tensor], Tensor], goal: float, iterations: int
) -> tuple[Tensor, History]:
    """The trajectory of least measure from c on, and (evaluations, ||E|| / ||u||) every few of them."""
    scale, spatial = mild.scale(c)[0], c.shape[1:]
    z = torch.zeros(matrix.shape[1], *spatial, 2, dtype=torch.float64, device=c.device, requires_grad=True)
    unit, evaluations = float(measure(c).detach()), 0

    def tuned() -> Tensor:
        series = torch.tensordot(matrix.to(c.dtype), torch.view_as_complex(z) / scale, dims=1)
        return torch.cat([c[: mild.known], c[mild.known :] + mild.evolution.admissible(mild.basis, series)])

    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        loss = measure(tuned()) / unit
        loss.backward()
        return loss

    optimizer = torch.optim.LBFGS(
        [z], max_iter=CHUNK, history_size=PAIRS, line_search_fn="strong_wolfe", tolerance_grad=0, tolerance_change=0
    )
    best, history = c, [(0, float(mild.relative(mild(c), c)))]
    while unit > 0 and evaluations < iterations and history[-1][1] > goal:
        optimizer.param_groups[0]["max_eval"] = min(2 * CHUNK, iterations - evaluations)
        before = evaluations
        with torch.enable_grad():
            optimizer.step(closure)
        with torch.no_grad():
            new = tuned()
            size = float(mild.relative(mild(new), new))
        history.append((evaluations, size))
        if size < min(s for _, s in history[:-1]):
            best = new
        if evaluations == before:
            break
    return best, history
