"""Multigrid-preconditioned conjugate gradients: many systems with coefficients of their own on one box."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from math import inf
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pdeops.grid import Grid
from pdeops.solvers.batched import conjugate_gradients
from pdeops.solvers.systems import LinearSolver, Progress, Solves, Systems, relative
from pdeops.solvers.vcycle import VCycle
from pdeops.solvers.volumes import FiniteVolumes

if TYPE_CHECKING:
    from pdeops.solvers.compiled.workspace import Workspace

MAXITER = 200
WIDTHS = {8: 20_000, 4: 100_000, 2: inf}  # systems at once, and the unknowns up to which so many are the quickest
EXTREME = 1e8  # a conductance beyond which, or below whose inverse, systems are scaled
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

    def unfit(self, systems: Systems) -> str | None:
        operator = systems.operator
        if not (operator.symmetric and systems.definite) or operator.dtype.is_complex:
            return "multigrid is for symmetric positive definite systems"
        if len(operator.shape) not in (2, 3) or any(axis.periodic for axis in operator.grid):
            return f"multigrid is for boxes of two or three axes that are not periodic; got {operator.grid}"
        return None

    def solve_scaled(self, systems: Systems, progress: Progress) -> Solves:
        b, operator = systems.solvable(), systems.operator
        size = operator.forward[0].flatten(1).amax(1)
        extreme = (size < 1 / EXTREME) | (size > EXTREME)  # what single precision cannot take the products of
        if extreme.any():
            scale = torch.where(extreme & size.isfinite() & (size > 0), 1 / size, 1.0)
            operator, b = operator.scaled(scale), b * scale.view(-1, *(1,) * (b.ndim - 1))
        here = b.device.type == "cpu" and _workspace() is not None
        x, residual, steps = (_compiled if here else _anywhere)(operator, b, self.tolerance, progress)
        if systems.singular:  # a mean of b is left
            residual = systems.residual(x)
        reasons = tuple(_reason(n, float(r), self.tolerance) for n, r in zip(steps.tolist(), residual, strict=True))
        # one product more for the true residual
        return Solves(systems.centred(x), residual, steps.clamp_min(0), steps.clamp_min(0) + 1, reasons)


def _reason(steps: int, residual: float, tolerance: float) -> str:
    if residual <= tolerance:
        return "converged"
    if steps < 0:
        return "the operator is not positive definite"
    return f"the iteration limit of {MAXITER}" if steps >= MAXITER else "rounding"


@cache
def _workspace() -> type[Workspace] | None:
    """The compiled passes, or None where numba is not installed."""
    try:
        from pdeops.solvers.compiled.workspace import Workspace
    except ImportError:
        return None
    return Workspace


Outcome = tuple[Tensor, Tensor, Tensor]  # x, the true relative residuals, the steps (-1: not definite)


def _anywhere(operator: FiniteVolumes, b: Tensor, rtol: float, progress: Progress) -> Outcome:
    """By torch, as many at once as `CHUNK` says."""
    chunk = max(1, CHUNK // operator.size)
    parts = []
    for first in range(0, len(b), chunk):
        some = slice(first, first + chunk)
        part, rhs = operator[some], b[some]
        x, steps = conjugate_gradients(part.apply, rhs, VCycle(part), rtol=0.99 * rtol, maxiter=MAXITER)
        residual = relative(part, x, rhs)
        parts.append((x, residual, steps.cpu()))
        progress(min(1.0, (first + chunk) / len(b)))
    x, residual, steps = (torch.cat(list(p)) for p in zip(*parts, strict=True))
    return x, residual, steps


def _compiled(operator: FiniteVolumes, b: Tensor, rtol: float, progress: Progress) -> Outcome:
    """By the compiled passes, a few at once."""
    made = _workspace()
    assert made is not None
    width = next(count for count, most in WIDTHS.items() if operator.size <= most)
    groups = [slice(first, min(first + width, len(b))) for first in range(0, len(b), width)]

    def run(group: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        key = operator.grid, group.stop - group.start
        try:
            space = _idle[key].pop()
        except (KeyError, IndexError):
            space = made(*key)
        result = space.solve(operator[group], b[group], rtol, MAXITER)
        _idle.setdefault(key, []).append(space)
        return result

    for key in [key for key in _idle if key[0] != operator.grid]:
        _idle.pop(key, None)
    x, residual = torch.empty_like(b), torch.empty(len(b), dtype=b.dtype)
    steps, threads = torch.empty(len(b), dtype=torch.int64), torch.get_num_threads()
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        for group, parts in zip(groups, (pool.map if pool else map)(run, groups), strict=True):
            x[group], residual[group], steps[group] = (torch.from_numpy(part) for part in parts)
            progress(group.stop / len(b))
    return x, residual.nan_to_num(nan=torch.inf), steps


# workspaces of the last grid: the system takes as long to clear their memory as a solution takes
_idle: dict[tuple[Grid, int], list[Workspace]] = {}
