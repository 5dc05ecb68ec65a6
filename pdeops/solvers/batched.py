"""Conjugate gradients for a batch of systems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def conjugate_gradients(
    apply: Callable[[Tensor], Tensor],
    b: Tensor,
    precondition: Callable[[Tensor], Tensor],
    *,
    rtol: float,
    maxiter: int,
) -> tuple[Tensor, Tensor]:
    """x (B, ...) with |b - A x| <= rtol |b| per sample by the recurrence, and the iterations (B,), -1 of a sample
    whose operator or preconditioner turned out not to be positive definite.

    precondition: may work in single precision, and be not quite linear: it is given residuals of about unit length, and
    directions are made conjugate explicitly, beta = -z . A p / p . A p (Golub and Ye, Inexact preconditioned conjugate
    gradient method, SIAM J. Sci. Comput. 21, 1999). A sample that is done is left as it is.
    """
    x, r, p = torch.zeros_like(b), b.clone(), torch.zeros_like(b)
    size = _norm(b)
    scale, goal = torch.where(size > 0, 1 / size, 0.0), rtol * size
    iterations = torch.zeros(len(b), dtype=torch.int64, device=b.device)
    active, image, curvature = size > goal, torch.zeros_like(b), torch.ones_like(size)
    for _ in range(maxiter):
        if not active.any():
            break
        z = precondition(r * _wide(scale, r)).to(b.dtype)
        beta = torch.where(active, -_dot(z, image) / curvature, 0.0)
        p = z + _wide(beta, p) * p
        image = apply(p)
        descent, new = _dot(r, p), _dot(p, image)
        sound = (new > 0) & (descent > 0)
        iterations = torch.where(active, torch.where(sound, iterations + 1, -1), iterations)
        active = active & sound
        curvature = torch.where(active, new, 1.0)
        alpha = torch.where(active, descent / curvature, 0.0)
        x, r = x + _wide(alpha, x) * p, r - _wide(alpha, r) * image
        active = active & (_norm(r) > goal)
    return x, iterations


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).flatten(1).sum(1)


def _norm(u: Tensor) -> Tensor:
    return torch.linalg.vector_norm(u.flatten(1), dim=1)


def _wide(s: Tensor, u: Tensor) -> Tensor:
    return s.view(-1, *(1,) * (u.ndim - 1))
