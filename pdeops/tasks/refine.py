"""Refining a trained surrogate's predictions on test trajectories, beside the serial solver at the same accuracy."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.data.dataset import Fields
from pdeops.errors import InputError
from pdeops.metrics.residual import residual_norm
from pdeops.norms import Sobolev
from pdeops.problems.evolution import Evolution
from pdeops.refinement.estimate import Estimate
from pdeops.refinement.mild import evolving
from pdeops.refinement.refine import Method, check_choice, refine
from pdeops.refinement.refined import History, judged
from pdeops.solvers.steppers import floored, relative
from pdeops.surrogate import Surrogate

REFERENCE = 1e-8  # relative error of the solution that true errors are taken against, at most


class State(NamedTuple):
    """Of predicted frames: the estimated relative L2 error, infinite where it cannot be told; the true one, and in
    L2(H^1), against a solution to a hundredth of the tolerance, and at most 1e-8; the H^-1 norm of the strong
    residual, differences between frames included."""

    estimate: float
    l2: float
    h1: float
    residual: float


class Row(NamedTuple):
    """One sample. before, after: refinement; iterations, frames, history: as in `Refined`; seconds: of the
    refinement, of the serial solver at the tolerance asked for; serial: its true relative L2 error; fields (C, T,
    *space): the reference, the prediction, the refined one."""

    before: State
    after: State
    converged: bool
    iterations: int
    frames: int
    seconds: float
    serial_seconds: float
    serial: float
    history: History
    fields: tuple[Tensor, Tensor, Tensor]


@dataclass(kw_only=True)
class Refine:
    """Refine the first prediction of each test trajectory, up to `samples` of them.

    tol, method: as in `refinement.refine`; steps: frames after the history, None for those of one prediction;
    frozen: start from the last known frame instead of the prediction, which shows what the prediction is worth.
    """

    tol: float = 1e-6
    method: Method = "auto"
    samples: int = 8
    steps: int | None = None
    frozen: bool = False

    def __post_init__(self) -> None:
        check_choice(self.tol, self.method)
        if self.samples < 1:
            raise InputError(f"task.samples={self.samples}: wanted at least 1")

    def rows(self, surrogate: Surrogate, fields: Fields) -> Iterator[Row]:
        """One sample after the other. Raises InputError for a surrogate without an evolution, and as `refine` does."""
        problem, window = evolving(surrogate.problem), surrogate.window
        for i in range(min(self.samples, len(fields.samples))):
            history = fields.frames([i], [0], window.n_in, window.stride)
            a = window.make_input(history, fields.inputs([i])).to(surrogate.normalize_in.mean.device)
            yield self._row(surrogate, problem, a)

    def _row(self, surrogate: Surrogate, problem: Evolution, a: Tensor) -> Row:
        inputs, u, grid, known = surrogate.trajectories(a, self.steps)
        if self.frozen:
            u = torch.cat([u[:, :, :known], u[:, :, known - 1 : known].expand_as(u[:, :, known:])], dim=2)
        times = grid[0].points()[known - 1 :]
        fine = max(min(self.tol / 100, REFERENCE), 1e-12)
        exact, _ = self._solved(problem, inputs, u[:, :, known - 1], times, fine)
        serial, serial_seconds = self._solved(problem, inputs, u[:, :, known - 1], times, self.tol)
        h1 = Sobolev(grid.space, 1)

        def state(v: Tensor, estimate: Estimate) -> State:
            truth, error = exact, v[:, :, known:] - exact
            slope, size = (h1(x).square().sum(2).sqrt() for x in (error, truth))
            slopes = (slope / floored(size)).amax()
            residual = residual_norm(problem, inputs, v, grid).amax()
            return State(float(estimate.error), float(relative(error, truth)), float(slopes), float(residual))

        start = time.perf_counter()
        found = refine(problem, inputs, u, grid, known, tol=self.tol, method=self.method, period=surrogate.period)
        seconds = time.perf_counter() - start
        return Row(
            state(u, judged(problem, inputs, u, grid, known, self.tol)),
            state(found.u, found.estimate),
            bool(found.converged),
            int(found.iterations),
            int(found.frames),
            seconds,
            serial_seconds,
            float(relative(serial - exact, exact)),
            found.history[0],
            (exact[0], u[0, :, known:], found.u[0, :, known:]),
        )

    def _solved(self, problem: Evolution, a: Tensor, u: Tensor, times: Tensor, tol: float) -> tuple[Tensor, float]:
        """The solution by steps as long as a tolerance allows, without its first frame; seconds."""
        problem = replace(problem, solver=replace(problem.solver, dt="auto", tolerance=tol))
        start = time.perf_counter()
        path, _ = problem.flow(a, u, times)
        return path[:, :, 1:], time.perf_counter() - start
