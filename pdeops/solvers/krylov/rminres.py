"""GCRO-DR by short recurrences, for self-adjoint systems: MINRES that recycles."""

from __future__ import annotations

from math import hypot, inf, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.krylov.arnoldi import combine
from pdeops.solvers.krylov.gmres import PATIENCE
from pdeops.solvers.krylov.minres import indefinite, minres
from pdeops.solvers.krylov.recycle import RecycleSpace, check_recycle
from pdeops.solvers.krylov.system import BREAKDOWN, CONVERGED, ROUND_OFF, Callback, Inner, System
from pdeops.solvers.solve import Solve


def rminres(
    A: Any,
    b: Any,
    *,
    x0: Any = None,
    rtol: float = 1e-8,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
    m: int = 60,
    k: int = 20,
    recycle: RecycleSpace | None = None,
    inner: Inner | None = None,
    callback: Callback | None = None,
) -> Solve:
    """`minres` that recycles, for A self-adjoint in `inner`, definite or not, and M self-adjoint and positive definite:
    the iterates of `gcrodr` (with M, those that are least in (r, M r)), where a step is orthogonalised against k
    vectors and two more instead of all of up to m.

    recycle: see `gcrodr`; without it this is `minres`. The image of a recycled vector costs a product with A and, if
    there is one, two with M.
    Source: Wang, de Sturler and Paulino, Int. J. Numer. Meth. Engng 69 (2007), 2441-2468, with the cycles of Parks, de
    Sturler, Mackey, Johnson and Maiti, SIAM J. Sci. Comput. 28 (2006). Arguments: see `System`.
    """
    if not 0 < k < m - 1:
        raise InputError(f"m={m}, k={k}: wanted 0 < k < m - 1, as each cycle adds m - k vectors to k recycled ones")
    if recycle is None:
        return minres(A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback)
    check_recycle(recycle)
    system = System(
        A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback, window=PATIENCE * m
    )
    lanczos, dropped = Lanczos(system, m, k), 0
    if system.size > 0:
        dropped = lanczos.adopt(*recycle.carried(system, k))
    solutions: list[Tensor] = []

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        t, r = lanczos.project(torch.zeros_like(r), r)
        norm = system.norm(r) if len(lanczos.U) else norm
        why = CONVERGED if norm <= system.tolerance else None
        while why is None:
            t, r, why = lanczos.cycle(t, r)
        solutions.append(t)
        return system.precondition(t), why

    solve = system.solve(attempt)
    recycle.keep(system, lanczos.U, lanczos.W[: len(lanczos.U)].clone(), dropped, most=k, solution=solutions)
    if dropped:
        solve = solve._replace(reason=f"{solve.reason}; {dropped} singular recycled directions were dropped")
    return solve


class Lanczos:
    """Lanczos processes of B = A M in the inner product (u, M v), in which B is self-adjoint, each beside a space U of
    at most k vectors with orthonormal images C = B U. Vectors are rows. One cycle of p <= m - k steps makes

        B [U V_p] = [C V_{p+1}] G,    G = [[1, H], [0, T]],    T tridiagonal,

    the least residual within it, and of [U V_p] the next U. W = [C; V], MW its rows times M.
    """

    def __init__(self, system: System, m: int, k: int) -> None:
        self.system, self.m, self.k = system, m, k
        self.W = system.b.new_zeros((m + 1, system.n))
        self.MW = self.W if system.M is None else torch.zeros_like(self.W)
        self.U = system.b.new_empty((0, system.n))
        self.kind = complex if self.U.is_complex() else float
        self.largest = 0.0  # entry of T

    def adopt(self, U: Tensor, images: Tensor) -> int:
        """Opens with the rows of U and their images under B, made orthonormal. Directions whose images vanish or depend
        on the others are left out; gives their number."""
        lengths, sizes = (torch.linalg.vector_norm(rows, dim=1) for rows in (U, images))
        ratios = (sizes / lengths).nan_to_num(nan=0.0, posinf=0.0)
        good = ratios > self.system.eps**0.75 * max(ratios.tolist(), default=0.0)
        self.U, C = U[good] / sizes[good, None], images[good] / sizes[good, None]
        MC = (
            torch.stack([self.system.precondition(c).clone() for c in C]) if self.system.M is not None and len(C) else C
        )
        self._open(C, MC)
        return len(U) - len(self.U)

    def _open(self, C: Tensor, MC: Tensor) -> bool:
        """Puts the images C of U into W, with U and C changed so that they are orthonormal; whether they were not."""
        changed = False
        for _ in range(3):  # more than once against round-off
            N = self._gram(C, MC)
            if abs(N - np.eye(len(N))).max(initial=0.0) <= self.system.eps**0.75:
                break
            values, vectors = np.linalg.eigh(N)
            kept = values > 100 * self.system.eps * values.max()
            P = (vectors[:, kept] / np.sqrt(values[kept])).T
            self.U, C = combine(P, self.U), combine(P, C)
            MC = C if self.system.M is None else combine(P, MC)
            changed = True
        self.W[: len(C)] = C
        if self.system.M is not None:
            self.MW[: len(C)] = MC
        return changed

    def project(self, t: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """t and r after the correction within U that leaves r orthogonal to C; twice, against round-off."""
        k = len(self.U)
        for _ in range(2 if k else 0):
            c = self.system.dots(self.MW[:k], r)
            t, r = t + c @ self.U, torch.addmv(r, self.W[:k].T, c, alpha=-1)
        return t, r

    def cycle(self, t: Tensor, r: Tensor) -> tuple[Tensor, Tensor, str | None]:
        """t and r after up to m - k steps from the residual r, and why to stop, if so."""
        system, k = self.system, len(self.U)
        C, MC, V, Z = self.W[:k], self.MW[:k], self.W[k:].unbind(), self.MW[k:].unbind()
        z = system.precondition(r)
        square = system.norm(r) ** 2 if z is r else system.dot(r, z).real
        if not square > 0:
            return t, r, indefinite(square)
        phi, beta, c, s, c_old, s_old = sqrt(square), 0.0, 1.0, 0.0, 1.0, 0.0
        torch.div(z, phi, out=Z[0])
        torch.div(r, phi, out=V[0])
        columns: list[tuple[float, ...]] = []  # of T, and of R: V_p = D R with the directions D of MINRES
        H: list[Tensor] = []
        rest = [phi]  # r = rest V; of what the steps take from it
        taken: list[float] = []
        p, why, lucky = 0, None, False
        while why is None and not lucky and p < self.m - k:
            q, w = system.product(Z[p]), V[p + 1]
            torch.add(q, V[max(p - 1, 0)], alpha=-beta, out=w)  # first, for less round-off
            alpha = system.dot(Z[p], w).real
            w.add_(V[p], alpha=-alpha)
            H.append(system.dots(MC, w))
            w.addmv_(C.T, H[p], alpha=-1)
            z = system.precondition(w)
            square = system.norm(w) ** 2 if z is w else system.dot(w, z).real
            self.largest = max(self.largest, abs(alpha) + beta)
            tiny = ROUND_OFF * system.eps * self.largest
            lucky = abs(square) <= tiny**2
            if not square >= 0 and not lucky:
                why = indefinite(square)
                break
            after = 0.0 if lucky else sqrt(square)
            # the new column of T under the two rotations before
            upper, middle, lower = s_old * beta, c * c_old * beta + s * alpha, c * alpha - s * c_old * beta
            corner = hypot(lower, after)
            if corner <= tiny:
                why = BREAKDOWN
                break
            columns.append((beta, alpha, after, upper, middle, corner))
            c_old, s_old, c, s = c, s, lower / corner, after / corner
            taken.append(phi * c)
            phi, beta = -s * phi, after
            if z is not w:
                torch.div(z, after or inf, out=Z[p + 1])
            w.div_(after or inf)
            p += 1
            norm = abs(phi)
            if z is not w:
                r = torch.add(s * s * r, w, alpha=phi * c)
                norm = system.norm(r)
            rest = [s * s * x for x in rest] + [phi * c]
            why = system.stop(norm)
        if p:
            T, R = band(columns, 0)[1:], band(columns, 3)[2:]
            y, d = np.linalg.solve(R, np.stack([taken, np.eye(p)[-1]], axis=1)).T
            h = torch.stack(H[:p]).numpy(force=True).T
            step, left = combine(np.stack([np.append(y, 0), rest]), self.W[k : k + p + 1])
            t, r = t + step - combine(h @ y, self.U), left if z is w or lucky else r
            last = why is not None or lucky
            if np.isfinite(phi) and self.harvest(h, T, None if last else np.concatenate([-h @ d, d])) and not last:
                t, r = self.project(t, r)
        if lucky and why is None:
            why = CONVERGED if system.norm(r) <= system.tolerance else BREAKDOWN
        return t, r, why

    def harvest(self, H: np.ndarray, T: np.ndarray, direction: np.ndarray | None) -> bool:
        """The next U: the harmonic Ritz vectors of smallest magnitude and, between cycles, the direction (coordinates
        in [U V]) of the last step, which lets the next cycle go on as if nothing had been cut off."""
        k, p = len(self.U), T.shape[1]
        W, MW, V = self.W[: k + p + 1], self.MW[: k + p + 1], self.W[k : k + p]
        G = np.block([[np.eye(k), H], [np.zeros((p + 1, k)), T]])
        P = np.eye(k + p, dtype=self.kind)
        if k + p > self.k:
            inner = np.zeros((k + p, k + p), self.kind)  # of images with vectors
            F = self._gram(self.MW[:k], self.U)
            inner[:k, :k], inner[k:, k:] = (F + F.conj().T) / 2, T[:-1]
            P = harmonic_ritz(inner, G.conj().T @ G, self.k - (direction is not None))
        if direction is not None and k + p > self.k > 1:
            P = np.concatenate([direction[:, None], P], axis=1)
        P = P / np.linalg.norm(G @ P, axis=0).clip(np.finfo(float).tiny)
        Q, R = np.linalg.qr(G @ P)
        good = abs(np.diag(R)) > self.system.eps**0.75
        if not good.all():  # B is singular on them
            P = P[:, good]
            Q, R = np.linalg.qr(G @ P)
        P = np.linalg.solve(R.T, P.T)
        self.U = combine(P[:, :k], self.U) + combine(P[:, k:], V)
        C = combine(Q.T, W)
        return self._open(C, C if self.system.M is None else combine(Q.T, MW))

    def _gram(self, rows: Tensor, others: Tensor) -> np.ndarray:
        return self.system.gram(rows, others).numpy(force=True).astype(self.kind)


def band(columns: list[tuple[float, ...]], first: int) -> np.ndarray:
    """(p + 2, p): column j has three entries, from row j on."""
    p = len(columns)
    B, j = np.zeros((p + 2, p)), np.arange(p)
    B[j, j], B[j + 1, j], B[j + 2, j] = np.array(columns).T[first : first + 3]
    return B


def harmonic_ritz(inner: np.ndarray, images: np.ndarray, k: int) -> np.ndarray:
    """The k eigenvectors z (columns) of inner z = mu images z, both self-adjoint, of largest |mu|; directions in which
    `images` is singular to round-off are left out."""
    scale = 1 / np.sqrt(np.diag(images).real.clip(np.finfo(float).tiny))
    scaled = images * scale * scale[:, None]
    try:
        L = np.linalg.cholesky(scaled)
        regular = np.diag(L).real.min() > 1e-6
    except np.linalg.LinAlgError:
        regular = False
    if regular:
        roots = scale[:, None] * np.linalg.inv(L).conj().T
    else:
        values, vectors = np.linalg.eigh(scaled)
        kept = values > 1e-12 * values.max()
        roots = scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])
    mu, z = np.linalg.eigh(roots.conj().T @ inner @ roots)
    return roots @ z[:, np.argsort(-abs(mu), kind="stable")[:k]]
