"""Multigrid-preconditioned conjugate gradients: many systems with coefficients of their own on one box."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.solvers.batched import conjugate_gradients
from pdeops.solvers.coarsening import coarsening
from pdeops.solvers.systems import LinearSolver, Progress, Solves, Systems, relative
from pdeops.solvers.vcycle import VCycle
from pdeops.solvers.volumes import FiniteVolumes

MAXITER = 200
CACHED = 40_000  # unknowns up to which four systems at once, and not two, are the quickest
CHUNK = 2**22  # unknowns that torch works on at once


@dataclass(frozen=True)
class Multigrid(LinearSolver):
    """Conjugate gradients in double precision with a multigrid cycle in single precision, for symmetric positive
    definite operators on boxes of two or three axes that are not periodic: six to twelve steps on any size, at
    moderate contrast.

    On a CPU with numba installed (pip install 'pdeops[fast]') by compiled passes over a few systems at a time, on as
    many threads as torch has; elsewhere by torch, on the whole batch at once.
    """

    tolerance: float = 1e-8

    def solve(self, systems: Systems, progress: Progress | None = None) -> Solves:
        unfit = fits(systems)
        if unfit:
            raise InputError(f"{unfit}. Take the solver auto, direct or gcrodr.")
        b = systems.solvable()
        here = b.device.type == "cpu" and _passes() is not None
        x, residual, steps = (_compiled if here else _anywhere)(systems.operator, b, self.tolerance, progress)
        reasons = tuple(_reason(n, float(r), self.tolerance) for n, r in zip(steps.tolist(), residual, strict=True))
        # one product more for the true residual
        return Solves(systems.centred(x), residual, steps.clamp_min(0), steps.clamp_min(0) + 1, reasons)


def fits(systems: Systems) -> str | None:
    """Why a multigrid cycle is not for such systems; None: it is."""
    operator = systems.operator
    if not (operator.symmetric and systems.definite) or operator.dtype.is_complex:
        return "multigrid is for symmetric positive definite systems"
    if len(operator.shape) not in (2, 3) or any(axis.periodic for axis in operator.grid):
        return f"multigrid is for boxes of two or three axes that are not periodic; got {operator.grid}"
    return None


def _reason(steps: int, residual: float, tolerance: float) -> str:
    if residual <= tolerance:
        return "converged"
    if steps < 0:
        return "the operator is not positive definite"
    return f"the iteration limit of {MAXITER}" if steps >= MAXITER else "rounding"


@cache
def _passes() -> Any:  # the module, whose names exist only with numba
    """The compiled passes, or None where numba is not installed."""
    try:
        from pdeops.solvers import passes
    except ImportError:
        return None
    return passes


Outcome = tuple[Tensor, Tensor, Tensor]  # x, the true relative residuals, the steps (-1: not definite)


def _anywhere(operator: FiniteVolumes, b: Tensor, rtol: float, progress: Progress | None) -> Outcome:
    """By torch, as many at once as `CHUNK` says."""
    chunk = max(1, CHUNK // operator.size)
    parts = []
    for first in range(0, len(b), chunk):
        some = slice(first, first + chunk)
        part, rhs = operator[some], b[some]
        cycle = VCycle(part)
        x, steps = conjugate_gradients(part.apply, rhs, cycle, rtol=0.99 * rtol, maxiter=MAXITER)
        residual = relative(part, x, rhs)
        missed = (residual > rtol) & (steps > 0) & (steps < MAXITER)
        if missed.any():  # by rounding: once more, for what is left
            left = torch.where(missed.view(-1, *(1,) * (b.ndim - 1)), rhs - part.apply(x), 0.0)
            rest = 0.5 * rtol / float(residual.amax())
            change, more = conjugate_gradients(part.apply, left, cycle, rtol=rest, maxiter=MAXITER)
            x, steps = x + change, steps + more.abs()
            residual = relative(part, x, rhs)
        parts.append((x, residual, steps.cpu()))
        if progress:
            progress(min(1.0, (first + chunk) / len(b)))
    x, residual, steps = (torch.cat(list(p)) for p in zip(*parts, strict=True))
    return x, residual, steps


def _compiled(operator: FiniteVolumes, b: Tensor, rtol: float, progress: Progress | None) -> Outcome:
    """By the compiled passes, a few at once."""
    width = 4 if operator.size <= CACHED else 2
    groups = [slice(first, min(first + width, len(b))) for first in range(0, len(b), width)]

    def run(group: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        key = operator.grid, group.stop - group.start
        try:
            space = _idle[key].pop()
        except (KeyError, IndexError):
            space = Workspace(*key)
        result = space.solve(operator[group], b[group], rtol)
        _idle.setdefault(key, []).append(space)
        return result

    for key in [key for key in _idle if key[0] != operator.grid]:
        _idle.pop(key, None)
    x, residual = torch.empty_like(b), torch.empty(len(b), dtype=b.dtype)
    steps, threads = torch.empty(len(b), dtype=torch.int64), torch.get_num_threads()
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        for group, parts in zip(groups, (pool.map if pool else map)(run, groups), strict=True):
            x[group], residual[group], steps[group] = (torch.from_numpy(part) for part in parts)
            if progress:
                progress(group.stop / len(b))
    return x, residual, steps


# workspaces of the last grid: the system takes as long to clear their memory as a solution takes
_idle: dict[tuple[Grid, int], list[Workspace]] = {}


class Workspace:
    """The arrays of `passes` for some systems at once."""

    def __init__(self, grid: Grid, lanes: int) -> None:
        self._kernels, self._plan, self._count = _passes(), coarsening(grid), lanes
        self._high = int(grid.ndim == 3)  # a margin along the first axis
        rows, offset = [], 0
        for shape in self._plan.shapes:
            n0, n1, n2 = self._three(shape)
            sizes = (n0 + 2 * self._high, n1 + 2, ((n2 + 1) // 2 + 2) * lanes)
            rows.append((offset, *sizes, n2))
            offset += self._kernels.SLOTS * sizes[0] * sizes[1] * sizes[2]
        self._table = np.array(rows, dtype=np.int64)
        self._levels = np.zeros(offset, dtype=np.float32)
        self._fine = np.zeros((self._kernels.SLOTS, *rows[0][1:4]))
        self._beside = np.zeros((self._kernels.BESIDE, *rows[0][1:4]), dtype=np.float32)
        longest = max(self._plan.shapes[0]) + 2
        self._ends = np.zeros((max(1, len(self._plan.weights)), 3, longest, 2), dtype=np.float32)
        for which, weights in enumerate(self._plan.weights):
            for d, w in enumerate(weights, 3 - grid.ndim):
                self._ends[which, d, : len(w)] = w

    def _three(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*(1,) * (3 - len(shape)), *shape)

    def solve(self, operator: FiniteVolumes, b: Tensor, rtol: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, the true relative residuals, and the steps taken."""
        k, high, lanes = self._kernels, self._high, self._count
        self._load(operator)
        self._fine[: k.B], self._beside[: k.DIAGONAL] = 0, 0  # whatever the last systems left
        rhs = b.reshape(lanes, *self._three(b.shape[1:])).numpy()
        for lane in range(lanes):
            k.pack(rhs[lane], self._fine, k.B, high, lanes, lane)
        steps, residual = k.conjugate_gradients(
            self._fine, self._beside, self._levels, self._table, self._ends, rtol, MAXITER, high, lanes
        )
        x = np.empty_like(rhs)
        for lane in range(lanes):
            k.unpack(self._fine, k.X, x[lane], high, lanes, lane)
        return x.reshape(b.shape), residual, steps

    def _load(self, operator: FiniteVolumes) -> None:
        k, high, lanes = self._kernels, self._high, self._count
        faces = [f.reshape(lanes, *self._three(f.shape[1:])).numpy() for f in operator.forward]
        if not high:
            faces.insert(0, faces[0][:, :0])
        zero = np.zeros((lanes, *self._three(operator.shape)))
        reaction = zero if operator.reaction is None else operator.reaction.reshape(zero.shape).numpy()
        axes = range(1 - high, 3)
        for which in range(len(self._table)):
            level = k.level(self._levels, self._table, which)
            target = level if which else self._fine
            for lane in range(lanes):
                k.pack_operator(*(f[lane] for f in (*faces, reaction)), target, high, lanes, lane)
            diagonal = target[k.FINE_DIAGONAL : k.EDGES]
            if not which:
                level[k.EDGES :], self._beside[k.DIAGONAL :] = target[k.EDGES :], diagonal
            k.invert(diagonal, level[k.INVERSE : k.EDGES])
            if which < len(self._plan.weights):
                ends = self._ends[which]
                faces = [self._coarse(f, ends, axes, d) if d in axes else f for d, f in enumerate(faces)]
                if operator.reaction is not None:
                    reaction = self._coarse(reaction, ends, axes)
                else:
                    reaction = np.zeros((lanes, *self._three(self._plan.shapes[which + 1])), dtype=np.float32)

    def _coarse(self, x: np.ndarray, ends: np.ndarray, axes: range, along: int | None = None) -> np.ndarray:
        """Coarse reactions, or conductances along an axis."""
        for d in axes:
            fine = np.moveaxis(x, d + 1, 1)
            out = np.empty((len(x), (fine.shape[1] + (d == along)) // 2, *fine.shape[2:]), dtype=np.float32)
            if d == along:
                self._kernels.in_series(fine, out)
            else:
                self._kernels.gather(fine, ends[d], out)
            x = np.moveaxis(out, 1, d + 1)
        return np.ascontiguousarray(x)
