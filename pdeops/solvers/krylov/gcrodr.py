"""GCRO with deflated restarting: GMRES whose restarts, and whose next systems, keep approximate eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.krylov.arnoldi import Arnoldi, combine, solve_upper
from pdeops.solvers.krylov.gmres import PATIENCE
from pdeops.solvers.krylov.recycle import RecycleSpace, check_recycle
from pdeops.solvers.krylov.system import CONVERGED, NOT_FINITE, Callback, Inner, System
from pdeops.solvers.solve import Solve


def gcrodr(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    rtol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    m: int = 40,
    k: int = 20,
    recycle: RecycleSpace | None = None,
    inner: Inner | None = None,
    callback: Callback | None = None,
) -> Solve:
    """GCRO-DR(m, k) for any nonsingular A, preconditioned from the right: cycles of GMRES in spaces of at most m
    dimensions, k of them from the cycle before: its last step, and the harmonic Ritz vectors of A M of smallest
    magnitude. k = 0 is GMRES(m); k = 1 keeps a Ritz vector alone.

    recycle: a RecycleSpace, whose vectors open the first cycle, at k products with A (one, if A and M are the objects
    of the solve before), and which takes what this solve has found. It pays where a few eigenvalues near zero slow
    the solves down and their eigenvectors move little from system to system; behind a good preconditioner it does not.
    Source: Parks, de Sturler, Mackey, Johnson and Maiti, SIAM J. Sci. Comput. 28 (2006), 1651-1674. Arguments: see
    `System`.
    """
    if not 0 <= k < m:
        raise InputError(f"m={m}, k={k}: wanted 0 <= k < m, as each cycle adds m - k vectors to k recycled ones")
    check_recycle(recycle)
    system = System(
        A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback, window=PATIENCE * m
    )
    arnoldi = Arnoldi(system, min(m, system.n))
    k, dropped = min(k, arnoldi.size - 1), 0
    if recycle is not None and system.size > 0:
        dropped = adopt(arnoldi, *recycle.carried(system, k))

    solutions: list[Tensor] = []

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        t, r = arnoldi.project(torch.zeros_like(r), r)
        norm = system.norm(r) if arnoldi.k else norm
        why = CONVERGED if norm <= system.tolerance else None
        while why is None:
            t, r, norm, why = arnoldi.cycle(t, r, norm)
            if k and (why is None or (recycle is not None and why != NOT_FINITE)):
                harvest(arnoldi, k, last=why is not None)
        solutions.append(t)
        return system.precondition(t), why

    solve = system.solve(attempt)
    if recycle is not None:
        images = combine(np.diag(arnoldi.scale), arnoldi.W[: arnoldi.k])
        recycle.keep(system, arnoldi.U, images, dropped, most=k, solution=solutions)
        if dropped:
            solve = solve._replace(reason=f"{solve.reason}; {dropped} singular recycled directions were dropped")
    return solve


def adopt(arnoldi: Arnoldi, U: Tensor, images: Tensor) -> int:
    """Opens the engine with the rows of U and their images under A M: C R = images, U R^-1. Rows whose images depend
    on those before are left out; gives their number."""
    lengths = torch.linalg.vector_norm(U, dim=1)
    sizes = (torch.linalg.vector_norm(images, dim=1) / lengths).nan_to_num(nan=0.0, posinf=0.0)
    least = arnoldi.system.eps**0.75 * float(sizes.max()) if len(sizes) else 0.0
    R: np.ndarray = np.zeros((len(U), len(U)), dtype=arnoldi.kind)
    kept: list[int] = []
    for i, (length, size) in enumerate(zip(lengths.tolist(), sizes.tolist(), strict=True)):
        if not size > least:
            continue
        count = len(kept)
        w, h, rest = arnoldi.orthogonalise(images[i] / length, count)
        if rest > least:
            R[:count, count], R[count, count] = h, rest
            torch.div(w, rest, out=arnoldi.W[count])
            kept.append(i)
    R = R[: len(kept), : len(kept)]
    arnoldi.hold(combine(np.linalg.inv(R).T, U[kept] / lengths[kept, None]))
    return len(U) - len(kept)


def harvest(arnoldi: Arnoldi, k: int, *, last: bool) -> None:
    """Replaces U and C by the best k directions of the cycle's [U V_p], with C still orthonormal and A M U = C D.

    Between cycles one of the k is the direction of the last step. For a self-adjoint A M it is the one vector that the
    next cycle needs to go on as if there had been no restart, as in the conjugate residual method; any other A M gains
    as well. Nothing of it is worth keeping for another system.
    """
    system, G, old, p = arnoldi.system, arnoldi.G, arnoldi.k, arnoldi.p
    W = arnoldi.W[: old + p + 1]
    P = np.eye(old + p, dtype=G.dtype)
    if old + p > k:
        F = np.zeros_like(G)
        F[old : old + p, old:] = np.eye(p)
        F[:, :old] = system.gram(W, arnoldi.U).numpy(force=True)
        direction = arnoldi.direction[:, None] if k > 1 and not last else P[:, :0]
        P = harmonic_ritz(G, F, k - direction.shape[1], real=not system.b.is_complex())
        P = np.linalg.qr(np.concatenate([direction, P], axis=1))[0]
    Q, R = np.linalg.qr(G @ P)
    sizes = abs(np.diag(R))
    good = sizes > system.eps**0.75 * sizes.max(initial=0.0)
    if not good.all():  # A M is singular on them
        P = P[:, good]
        Q, R = np.linalg.qr(G @ P)
    P = np.linalg.solve(R.T, P.T)
    U = combine(P[:, :old], arnoldi.U) + combine(P[:, old:], W[old : old + p])
    W[: len(P)] = combine(Q.T, W)
    arnoldi.hold(U)


def harmonic_ritz(G: np.ndarray, F: np.ndarray, k: int, *, real: bool) -> np.ndarray:
    """The k eigenvectors (columns) of G^H G z = theta G^H F z of smallest |theta|; in real arithmetic their real and
    imaginary parts, of a conjugate pair both or neither."""
    Q, R = np.linalg.qr(G)
    values, vectors = np.linalg.eig(solve_upper(R, Q.conj().T @ F, np.finfo(float).eps * abs(R).max()))  # 1 / theta
    order = np.argsort(-abs(values), kind="stable")
    if not real or not np.iscomplexobj(values):
        return vectors[:, order[:k]]
    columns: list[np.ndarray] = []
    for i in order[values[order].imag >= 0]:
        parts = [vectors[:, i].real] if values[i].imag == 0 else [vectors[:, i].real, vectors[:, i].imag]
        if len(columns) + len(parts) <= k:
            columns += parts
    return np.array(columns).reshape(-1, len(values)).T  # none, if a pair was all and k is 1
