"""Direct solution of batches of systems."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pdeops.solvers import factors
from pdeops.solvers.systems import LinearSolver, Progress, Solves, Systems

AT_ONCE = 64  # systems whose entries are held at once


@dataclass(frozen=True)
class Direct(LinearSolver):
    """Sparse factorisation on a CPU: what depends on the pattern alone is done once (`factors.solve`), and one matrix
    for all samples is factored once. Of a singular system the first unknown is held at zero."""

    tolerance: float = 1e-8

    def solve_scaled(self, systems: Systems, progress: Progress) -> Solves:
        operator, b, held = systems.operator.cpu(), systems.solvable().cpu(), int(systems.singular)
        indptr, indices = operator.pattern
        rows = np.repeat(np.arange(operator.size), np.diff(indptr))
        kept = (rows >= held) & (indices >= held)
        counts = np.bincount(rows[kept] - held, minlength=operator.size - held)
        shape = None if held else operator.shape
        pattern = factors.Pattern(np.concatenate([[0], np.cumsum(counts)]), indices[kept] - held, shape)
        x = torch.zeros_like(b).flatten(1)
        for first in range(0, len(b), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            values, rhs = operator[some].values[:, kept], b[some].flatten(1)[:, held:].numpy()
            if len(values) > 1 and (values == values[0]).all():
                solved = factors.Factors(pattern, values[0]).solve(rhs, rtol=self.tolerance)
            else:
                solved = factors.solve(pattern, values, rhs, rtol=self.tolerance)
            x[some, held:] = torch.from_numpy(solved.x)
            progress(min(1.0, (first + AT_ONCE) / len(b)))
        solution = x.view(b.shape).to(systems.b.device)
        residual = systems.residual(solution)
        reasons = tuple("solved directly" if r <= self.tolerance else "singular or ill-conditioned" for r in residual)
        one = torch.ones(len(b), dtype=torch.int64)
        return Solves(systems.centred(solution), residual, 0 * one, one, reasons)
