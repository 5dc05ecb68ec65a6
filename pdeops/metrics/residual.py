"""How well a prediction satisfies its PDE, without a reference solution."""

from __future__ import annotations

from torch import Tensor

from pdeops.grid import Grid
from pdeops.norms import weak_norm
from pdeops.problems.base import Problem


def residual_norm(problem: Problem, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
    """||r(u)|| per sample and equation (B, n_eq), r the strong residual of u (B, C_out, *grid), in `weak_norm`.

    Of an evolution, u is a trajectory on a time axis. Read it beside the norm of the reference solution: what
    differences between snapshots cannot resolve is in both. Computed in double precision.
    """
    return weak_norm(grid)(problem.residual(a.double(), u.double(), grid))
