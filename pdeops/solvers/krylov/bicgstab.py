"""Stabilised bi-conjugate gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pdeops.solvers.krylov.system import BREAKDOWN, Callback, Inner, System
from pdeops.solvers.solve import Solve


def bicgstab(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    rtol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    inner: Inner | None = None,
    callback: Callback | None = None,
) -> Solve:
    """BiCGStab for any nonsingular A, preconditioned from the right: seven vectors whatever the number of steps, two
    products with A and M a step, and no bound on the residual between them.

    Source: van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992), 631-644. Arguments: see `System`.
    """
    system = System(A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback)

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        x = p = v = torch.zeros_like(r)
        shadow, length = r, norm
        rho = alpha = omega = complex(1) if r.is_complex() else 1.0
        while True:
            before, rho = rho, system.dot(shadow, r)
            if abs(rho) <= system.eps * length * norm:
                return x, BREAKDOWN
            p = torch.add(r, torch.add(p, v, alpha=-omega), alpha=rho / before * alpha / omega)
            p_hat = system.precondition(p)
            v = system.product(p_hat).clone()  # it is kept over the next product, whose memory may be the same
            slope = system.dot(shadow, v)
            if abs(slope) <= system.eps * length * system.norm(v):
                return x, BREAKDOWN
            alpha = rho / slope
            x = torch.add(x, p_hat, alpha=alpha)
            r = torch.add(r, v, alpha=-alpha)
            norm = system.norm(r)
            if norm > system.tolerance:
                r_hat = system.precondition(r)
                t = system.product(r_hat)
                square = system.norm(t) ** 2
                omega = system.dot(t, r) / square if square > 0 else 0.0
                x = torch.add(x, r_hat, alpha=omega)
                r = torch.add(r, t, alpha=-omega)
                norm = system.norm(r)
            why = system.stop(norm)
            if why is not None or omega == 0:
                return x, why or BREAKDOWN

    return system.solve(attempt)
