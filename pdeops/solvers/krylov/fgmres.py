"""GMRES with a preconditioner that may change from step to step."""

from __future__ import annotations

from typing import Any

from pdeops.solvers.krylov.gmres import restarted
from pdeops.solvers.krylov.system import Callback, Inner
from pdeops.solvers.solve import Solve


def fgmres(
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
    """Flexible GMRES(m): z_j = M_j v_j is stored, x = x0 + Z y, A Z = V H. M may be an iteration of its own, or a
    neural network. 2 m + 1 vectors are kept.

    Source: Saad, SIAM J. Sci. Comput. 14 (1993), 461-469. Arguments: see `System`.
    """
    return restarted(A, b, x0, rtol, atol, maxiter, M, m, inner, callback, flexible=True)
