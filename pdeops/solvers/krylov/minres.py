"""The minimal residual method for self-adjoint systems, definite or not."""

from __future__ import annotations

from math import hypot, isfinite, sqrt
from typing import Any

import torch
from torch import Tensor

from pdeops.solvers.krylov.system import BREAKDOWN, NOT_FINITE, ROUND_OFF, Callback, Inner, System
from pdeops.solvers.solve import Solve


def minres(
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
    """MINRES for A self-adjoint in `inner`, definite or not, and M self-adjoint and positive definite: of all x in
    x0 + K_j(M A, M r_0) the j-th has the least (r, M r), by the Lanczos process and three-term recurrences. The
    residual itself is carried along, r_j = s_j^2 r_{j-1} + phi_j c_j v_{j+1}, so that the tolerance is on |r| with an
    M, too.

    Source: Paige and Saunders, SIAM J. Numer. Anal. 12 (1975), 617-629. Arguments: see `System`.
    """
    system = System(A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback)

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        x = d = d_old = v_old = torch.zeros_like(r)
        q, z = r, system.precondition(r)
        square = system.dot(q, z).real
        if not square > 0:
            return x, indefinite(square)
        phi = beta = sqrt(square)
        beta_old = scale = 0.0
        c = c_old = 1.0
        s = s_old = 0.0
        while True:
            v, z = q / beta, z / beta
            q = system.product(z)
            alpha = system.dot(z, q).real
            q = torch.add(torch.add(q, v, alpha=-alpha), v_old, alpha=-beta_old)
            y = system.precondition(q)
            square = system.dot(q, y).real
            scale = max(scale, abs(alpha) + beta_old)
            lucky = abs(square) <= (ROUND_OFF * system.eps * scale) ** 2
            if not square >= 0 and not lucky:
                return x, indefinite(square)
            after = 0.0 if lucky else sqrt(square)
            # the new column of the tridiagonal matrix, (beta_old, alpha, after), under the two rotations before
            upper, middle = s_old * beta_old, c * c_old * beta_old + s * alpha
            lower = c * alpha - s * c_old * beta_old
            corner = hypot(lower, after)
            if corner <= ROUND_OFF * system.eps * scale:
                return x, BREAKDOWN
            c_old, s_old, c, s = c, s, lower / corner, after / corner
            d, d_old = torch.add(torch.add(z, d, alpha=-middle), d_old, alpha=-upper) / corner, d
            x = torch.add(x, d, alpha=phi * c)
            phi = -s * phi
            r = s * s * r if lucky else torch.add(s * s * r, q, alpha=phi * c / after)
            why = system.stop(system.norm(r))
            if why is not None or lucky:
                return x, why or BREAKDOWN
            v_old, z, beta_old, beta = v, y, after, after

    return system.solve(attempt)


def indefinite(value: float) -> str:
    if not isfinite(value):
        return NOT_FINITE
    return f"breakdown: M is not positive definite, (v, M v) = {value:.2g} for some v. Use gmres"
