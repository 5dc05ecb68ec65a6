"""What an equation makes of errors on their way through a trajectory: a step of Newton's method, and its length."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import torch
from torch import Tensor

from pdeops.refinement.mild import Mild
from pdeops.solvers.krylov import RecycleSpace, gcrodr, gmres

KRYLOV = 160  # vectors kept
ROUGH = 0.03  # what is left of a linear residual where its solution's size is asked for: growing parts come late
LOST = 0.3  # what is left of one whose solution says nothing


def growth_of(mild: Mild, c: Tensor) -> tuple[float, int]:
    """||v|| / ||E(c)|| with E'(c) v = -E(c), and the products it took: v is the error of c to first order, E the same
    without what N does to errors on their way. Infinite where GMRES does not get there."""
    residual, derivative = mild.linearised(c)
    if not residual.isfinite().all():
        return inf, 0
    _, spent, growth = newton_step(mild, c, derivative, residual, ROUGH, None)
    return growth, spent


def newton_step(
    mild: Mild,
    c: Tensor,
    derivative: Callable[[Tensor], Tensor],
    residual: Tensor,
    rtol: float,
    recycle: RecycleSpace | None,
) -> tuple[Tensor, int, float]:
    """The solution v of E'(c) v = -E(c), the products it took, and ||v|| / ||E(c)||.

    Real vectors of scaled coefficients: the derivative is linear in real and imaginary parts alone, and the Euclidean
    norm is then the L2 norm, each channel by its own size."""
    scale = mild.scale(c)

    def flat(v: Tensor) -> Tensor:
        return torch.view_as_real(scale * v).flatten()

    def shaped(x: Tensor) -> Tensor:
        return torch.view_as_complex(x.view(*residual.shape, 2)) / scale

    def product(x: Tensor) -> Tensor:
        return flat(derivative(shaped(x)))

    b = -flat(residual)
    if recycle is None:
        solve = gmres(product, b, rtol=rtol, m=KRYLOV, maxiter=KRYLOV)
    else:
        solve = gcrodr(product, b, rtol=rtol, m=KRYLOV, recycle=recycle, maxiter=KRYLOV)
    size = float(torch.linalg.vector_norm(b))
    growth = float(torch.linalg.vector_norm(solve.x)) / size if size > 0 else 1.0
    return shaped(solve.x), solve.applications, growth if solve.residual <= LOST else inf
