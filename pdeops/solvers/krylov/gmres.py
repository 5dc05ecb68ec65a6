"""The generalised minimal residual method, restarted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.krylov.arnoldi import Arnoldi
from pdeops.solvers.krylov.system import Callback, Inner, System
from pdeops.solvers.solve import Solve

PATIENCE = 25  # cycles without a gain before a restarted method gives up


def gmres(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    rtol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    m: int = 40,
    inner: Inner | None = None,
    callback: Callback | None = None,
) -> Solve:
    """GMRES(m) for any nonsingular A, preconditioned from the right: |b - A x| is least in x0 + M K_j(A M, r_0) after
    the j-th step of a cycle, and falls from step to step. m + 1 vectors are kept; `gcrodr` needs as many and keeps
    what it has learnt at restarts.

    Source: Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986), 856-869. Arguments: see `System`.
    """
    return restarted(A, b, x0, rtol, atol, maxiter, M, m, inner, callback, flexible=False)


def restarted(
    A: Any,
    b: Any,
    x0: Any,
    rtol: float,
    atol: float,
    maxiter: int | None,
    M: Any,
    m: int,
    inner: Inner | None,
    callback: Callback | None,
    *,
    flexible: bool,
) -> Solve:
    """Cycles of m steps; see `gmres` and `fgmres`."""
    if m < 1:
        raise InputError(f"m={m}: wanted at least one vector between restarts")
    system = System(
        A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback, window=PATIENCE * m
    )
    arnoldi = Arnoldi(system, min(m, system.n), flexible=flexible)

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        t, why = torch.zeros_like(r), None
        while why is None:
            t, r, norm, why = arnoldi.cycle(t, r, norm)
        return t if flexible else system.precondition(t), why

    return system.solve(attempt)
