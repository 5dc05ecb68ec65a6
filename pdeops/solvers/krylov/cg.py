"""Conjugate gradients."""

from __future__ import annotations

from math import isfinite
from typing import Any

import torch
from torch import Tensor

from pdeops.solvers.krylov.system import NOT_FINITE, Callback, Inner, System
from pdeops.solvers.solve import Solve


def cg(
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
    """Conjugate gradients for A self-adjoint and positive definite in `inner`, M likewise: of all x in
    x0 + K_j(M A, M r_0) the j-th has the least (e, A e), e the error.

    Source: Hestenes and Stiefel, J. Res. Nat. Bur. Stand. 49 (1952), 409-436. Arguments: see `System`.
    """
    system = System(A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback)

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        x, p, rho = torch.zeros_like(r), torch.zeros_like(r), 1.0
        while True:
            z = system.precondition(r)
            before, rho = rho, system.dot(r, z).real
            if not rho > 0:
                return x, _indefinite("M", rho)
            p = torch.add(z, p, alpha=rho / before)
            q = system.product(p)
            curvature = system.dot(p, q).real
            if not curvature > 0:
                return x, _indefinite("A", curvature)
            x = torch.add(x, p, alpha=rho / curvature)
            r = torch.add(r, q, alpha=-rho / curvature)
            why = system.stop(system.norm(r))
            if why is not None:
                return x, why

    return system.solve(attempt)


def _indefinite(name: str, value: float) -> str:
    if not isfinite(value):
        return NOT_FINITE
    return f"breakdown: {name} is not positive definite, (v, {name} v) = {value:.2g} for some v. Use minres or gmres"
