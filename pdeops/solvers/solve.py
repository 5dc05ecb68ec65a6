"""What every linear solver returns."""

from __future__ import annotations

from typing import Any, NamedTuple


class Solve(NamedTuple):
    """The outcome of one linear system A x = b.

    x: the solution, of b's kind (NumPy array or tensor) and shape; converged: whether its true residual is within the
    tolerance; reason: a sentence that says why the solver stopped; residual: |b - A x| / |b|, recomputed at the end
    (|b - A x| where b is zero); iterations: steps of the method; applications: every product with A, those of the
    recycled space and of the final residual included; preconditionings: every product with the preconditioner;
    history: the relative residual norms as the method saw them, one before the first step and one per step.
    """

    x: Any
    converged: bool
    reason: str
    residual: float
    iterations: int
    applications: int
    preconditionings: int = 0
    history: tuple[float, ...] = ()
