"""MINRES that recycles: short recurrences beside approximate eigenvectors that the systems before have left."""

from __future__ import annotations

from math import hypot, inf, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.krylov.arnoldi import combine
from pdeops.solvers.krylov.minres import indefinite
from pdeops.solvers.krylov.recycle import RecycleSpace
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
    m: int = 40,
    k: int = 20,
    recycle: RecycleSpace | None = None,
    inner: Inner | None = None,
    callback: Callback | None = None,
) -> Solve:
    """Recycling MINRES for A self-adjoint in `inner`, definite or not, and M self-adjoint and positive definite: what
    `gcrodr` is to GMRES, without restarts. A step costs two products with k vectors, however many steps there are.

    recycle: a RecycleSpace, whose k vectors take their part of the solution at once, at k products with A (one, if A
    and M are the objects of the solve before), and which takes what this solve has found: k - 1 approximate
    eigenvectors of A M for the eigenvalues of smallest magnitude, and the solution. Every m steps the best k of
    [Y V_m] are kept as Y; without `recycle` nothing is, and this is `minres`. Memory: 4 k + m vectors.
    Source: Wang, de Sturler and Paulino, Int. J. Numer. Meth. Engng 69 (2007), 2441-2468; the choice of Y: Stathopoulos
    and Orginos, SIAM J. Sci. Comput. 32 (2010), section 2. Arguments: see `System`.
    """
    if m < 2 or k < 1:
        raise InputError(f"m={m}, k={k}: wanted m >= 2 steps between harvests and k >= 1 recycled vectors")
    system = System(A, b, x0=x0, rtol=rtol, atol=atol, maxiter=maxiter, M=M, inner=inner, callback=callback)
    engine = Lanczos(system, m, k if recycle is not None else 0)
    dropped = 0
    if recycle is not None and system.size > 0:
        dropped = engine.adopt(*recycle.carried(system, k))
    solutions: list[Tensor] = []

    def attempt(r: Tensor, norm: float) -> tuple[Tensor, str]:
        t, r = engine.project(torch.zeros_like(r), r)
        norm = system.norm(r) if len(engine.U) else norm
        why = CONVERGED if norm <= system.tolerance else engine.start(r, norm)
        while why is None:
            t, why = engine.steps(t)
        solutions.append(t)
        return system.precondition(t), why

    solve = system.solve(attempt)
    if recycle is not None:
        recycle.keep(system, *engine.best(k), dropped, most=k, solution=solutions)
        if dropped:
            solve = solve._replace(reason=f"{solve.reason}; {dropped} singular recycled directions were dropped")
    return solve


class Lanczos:
    """The Lanczos process of (1 - C C*) B, B = A M, in the inner product (u, M v), beside a space U with B U = C and
    C* C = I, * the adjoint in it. Vectors are rows.

        B V_p = C H + V_{p+2} T,    V_{p+2} = [v_0 v_1 .. v_{p+1}], T tridiagonal, v_0 the vector before.

    Y, D (k, n): what is kept of the V before, with B Y = C E + D and D* D = I, so that B (Y - U E) = D.
    The solution is t = V_p y - U H y, y by the three-term recurrence of MINRES, for a whole window of p steps at once.
    """

    def __init__(self, system: System, size: int, k: int) -> None:
        self.system, self.size, self.k = system, size, k
        self.V = system.b.new_zeros((size + 2, system.n))
        self.Z = self.V if system.M is None else torch.zeros_like(self.V)  # M V
        none = system.b.new_empty((0, system.n))
        self.U = self.C = self.MC = self.Y = self.D = none
        self.kind = complex if none.is_complex() else float
        self.F = self.YD = self.E = np.empty((0, 0), self.kind)  # C* U, D* Y
        self.largest = 0.0  # entry of T

    def adopt(self, U: Tensor, images: Tensor) -> int:
        """Opens the engine with the rows of U and their images under A M, made orthonormal. Directions whose images
        vanish or depend on the others are left out; gives their number."""
        lengths = torch.linalg.vector_norm(U, dim=1)
        sizes = torch.linalg.vector_norm(images, dim=1)
        ratios = (sizes / lengths).nan_to_num(nan=0.0, posinf=0.0)
        good = ratios > self.system.eps**0.75 * ratios.max().item() if len(U) else ratios > 0
        self.U, self.C = U[good] / sizes[good, None], images[good] / sizes[good, None]
        for _ in range(2):  # the second time against round-off
            self.MC = self.C
            if self.system.M is not None and len(self.C):
                self.MC = torch.stack([self.system.precondition(c).clone() for c in self.C])
            values, vectors = np.linalg.eigh(self._gram(self.C, self.MC))
            kept = values > self.system.eps * 100 * values.max(initial=0.0)
            P = (vectors[:, kept] / np.sqrt(values[kept])).T
            same = self.MC is self.C
            self.U, self.C = combine(P, self.U), combine(P, self.C)
            self.MC = self.C if same else combine(P, self.MC)
        self.F = self._gram(self.MC, self.U)
        self.F = (self.F + self.F.conj().T) / 2
        self.E = np.zeros((len(self.U), len(self.Y)), self.kind)
        return len(U) - len(self.U)

    def project(self, t: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """t and r after the correction within U that leaves r orthogonal to C; twice, against round-off."""
        for _ in range(2 if len(self.U) else 0):
            c = self.system.dots(self.MC, r)
            t, r = t + c @ self.U, torch.addmv(r, self.C.T, c, alpha=-1)
        return t, r

    def start(self, r: Tensor, norm: float) -> str | None:
        """From the residual r, orthogonal to C."""
        z = self.system.precondition(r)
        square = norm**2 if z is r else self.system.dot(r, z).real
        if not square > 0:
            return indefinite(square)
        self.beta, self.phi = 0.0, sqrt(square)
        self.V[0], self.Z[0] = 0, 0
        torch.div(r, self.phi, out=self.V[1])
        if z is not r:
            torch.div(z, self.phi, out=self.Z[1])
        self.residual = r.clone() if z is not r else None
        self.rotations = (1.0, 0.0, 1.0, 0.0)  # cosine and sine of the last but one, and of the last
        self.d, self.e = r.new_zeros((2, len(r))), np.zeros((2, len(self.U)), self.kind)
        return None

    def steps(self, t: Tensor) -> tuple[Tensor, str | None]:
        """t after a window of steps, and why to stop, if so."""
        system, C, beta = self.system, self.C, self.beta
        V, Z = self.V.unbind(), self.Z.unbind()
        c_old, s_old, c, s = self.rotations
        T, R, g, H = [], [], [], []  # columns of band matrices, ...
        p, why = 0, None
        while why is None and p < self.size:
            q, w = system.product(Z[p + 1]), V[p + 2]
            torch.add(q, V[p], alpha=-beta, out=w)  # first, for less round-off
            alpha = system.dot(Z[p + 1], w).real
            w.add_(V[p + 1], alpha=-alpha)
            if len(C):
                H.append(system.dots(self.MC, w))
                w.addmv_(C.T, H[-1], alpha=-1)
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
            T.append((beta, alpha, after))
            R.append((upper, middle, corner))
            c_old, s_old, c, s = c, s, lower / corner, after / corner
            g.append(self.phi * c)
            self.phi, beta = -s * self.phi, after
            if z is not w:
                torch.div(z, after or inf, out=Z[p + 2])
            w.div_(after or inf)
            p += 1
            norm = abs(self.phi)
            if self.residual is not None:
                self.residual.mul_(s * s).add_(w, alpha=self.phi * c)
                norm = system.norm(self.residual)
            why = system.stop(norm)
            if lucky and why is None:
                why = BREAKDOWN
        self.rotations, self.beta = (c_old, s_old, c, s), beta
        if p:
            H_p = torch.stack(H[:p]).numpy(force=True).T if H else np.empty((0, p))
            t = t + self.correction(band(R), np.array(g), H_p)
            if self.k and np.isfinite(self.phi):
                self.harvest(band(T), H_p)
            for rows in (self.V, self.Z):
                rows[:2] = rows[p : p + 2].clone()
        return t, why

    def correction(self, R: np.ndarray, g: np.ndarray, H: np.ndarray) -> Tensor:
        """What a window adds to t: V_p = [d_-1 d_0 D] R, and t += (D - U E_D) g. The last two columns of D are d_-1 and
        d_0 to the next window."""
        p = len(g)
        wanted = np.stack([g, np.eye(p)[max(p - 2, 0)] * (p > 1), np.eye(p)[-1]], axis=1)
        S = np.linalg.solve(R[2:], wanted)
        S_d = R[:2] @ S
        out = combine(S.T.copy(), self.V[1 : p + 1]) - combine(S_d.T.copy(), self.d)
        e = S.T @ H.T - S_d.T @ self.e
        self.d, self.e = out[1:], e[1:]
        return out[0] - combine(e[0], self.U)

    def harvest(self, T: np.ndarray, H: np.ndarray) -> None:
        """The harmonic Ritz vectors of (1 - C C*) B in the span of [Y V_p], those of smallest magnitude: k / 2 in all of
        it and, which makes the next window go on nearly as if nothing had been left out, k / 2 without its last vector."""
        k, y, p = self.k, len(self.Y), T.shape[1]
        V = self.V[: p + 2]
        X = self._gram(self.D, self.Z[: p + 2])
        XT = X @ T
        inner = np.block([[self.YD, X[:, 1:-1]], [X[:, 1:-1].conj().T, T[1:-1]]])  # (image, vector)
        images = np.block([[np.eye(y), XT], [XT.conj().T, T.T @ T]])
        roots = square_roots(images)
        K = roots.conj().T @ inner @ roots
        P = largest(K, k)
        if y + p > k > 1:
            short = slice(len(K) - 1)
            short = largest(K[short, short], k // 2)
            P = np.linalg.qr(np.concatenate([P[:, : k - k // 2], np.pad(short, ((0, 1), (0, 0)))], axis=1))[0]
        self.YD = P.conj().T @ K @ P
        P = roots @ P
        self.E = np.concatenate([self.E, H], axis=1) @ P
        Y, V_Y, D, V_D = (torch.from_numpy(x.T.copy()).to(V) for x in (P[:y], P[y:], P[:y], T @ P[y:]))
        self.Y = (Y @ self.Y).addmm_(V_Y, V[1:-1])
        self.D = (D @ self.D).addmm_(V_D, V)

    def best(self, k: int) -> tuple[Tensor, Tensor]:
        """Of [U, Y - U E], with images [C D], the k harmonic Ritz vectors of B of smallest magnitude."""
        FE = self.F @ self.E
        inner = np.block([[self.F, -FE], [-FE.conj().T, self.YD + self.E.conj().T @ FE]])
        P = largest(inner, k)
        P_U, P_Y = P[: len(self.U)], P[len(self.U) :]
        U = combine((P_U - self.E @ P_Y).T, self.U) + combine(P_Y.T, self.Y)
        return U, combine(P_U.T, self.C) + combine(P_Y.T, self.D)

    def _gram(self, rows: Tensor, others: Tensor) -> np.ndarray:
        return self.system.gram(rows, others).numpy(force=True).astype(self.kind)


def band(columns: list[tuple[float, float, float]]) -> np.ndarray:
    """(p + 2, p): column j has three entries from row j on."""
    p = len(columns)
    B, j = np.zeros((p + 2, p)), np.arange(p)
    B[j, j], B[j + 1, j], B[j + 2, j] = np.array(columns).T
    return B


def square_roots(images: np.ndarray) -> np.ndarray:
    """P with P* images P = 1, upper triangular unless `images` is singular to round-off, which P then leaves out."""
    scale = 1 / np.sqrt(np.diag(images).real.clip(np.finfo(float).tiny))
    scaled = images * scale * scale[:, None]
    try:
        L = np.linalg.cholesky(scaled)
        if np.diag(L).real.min(initial=1.0) > 1e-6:
            return scale[:, None] * np.linalg.inv(L).conj().T
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(scaled)
    kept = values > 1e-12 * values.max(initial=0.0)
    return scale[:, None] * vectors[:, kept] / np.sqrt(values[kept])


def largest(K: np.ndarray, k: int) -> np.ndarray:
    """The eigenvectors (columns) of the self-adjoint K to its k eigenvalues of largest magnitude."""
    values, vectors = np.linalg.eigh(K)
    return vectors[:, np.argsort(-abs(values), kind="stable")[:k]]
