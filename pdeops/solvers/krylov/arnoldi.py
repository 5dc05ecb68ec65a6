"""The engine of all restarted methods: B [U V_p] = [C V_{p+1}] G, and the residual that it minimises."""

from __future__ import annotations

from math import hypot

import numpy as np
import torch
from torch import Tensor

from pdeops.solvers.krylov.system import BREAKDOWN, CONVERGED, ROUND_OFF, System


class Arnoldi:
    """A Krylov space of B = A M, of at most `size` dimensions, beside a space U with orthonormal images C = B U D^-1.

    Vectors are rows. W = [C; V] (size + 1, n) is orthonormal in the system's inner product, U (k, n) has rows of unit
    length, D = diag(scale); with none of them this is the Arnoldi process of GMRES. One cycle of p steps makes

        B [U V_p] = [C V_{p+1}] G,    G = [[D, E], [0, H]],

    y = argmin |beta e_1 - H y| by Givens rotations, t += V_p y - U D^-1 E y, and the residual V_{p+1} (beta e_1 - H y).
    `direction`: the coordinates in [U V_p] of the correction that the last of the p steps made, up to a factor.
    flexible: M may change from step to step; its results are stored, t is in the variable x and U must be empty.
    Source: Parks, de Sturler, Mackey, Johnson and Maiti, SIAM J. Sci. Comput. 28 (2006), section 2; Saad, Iterative
    Methods for Sparse Linear Systems (2003), algorithms 6.9 and 9.6.
    """

    def __init__(self, system: System, size: int, *, flexible: bool = False) -> None:
        self.system, self.size = system, size
        self.W = system.b.new_empty((size + 1, system.n))
        self.Z = system.b.new_empty((size, system.n)) if flexible else None
        self.U, self.scale = system.b.new_empty((0, system.n)), np.empty(0)
        self.G, self.p, self.direction = np.empty((0, 0)), 0, np.empty(0)
        self.largest = 0.0  # |B v| of all steps

    @property
    def k(self) -> int:
        return len(self.U)

    @property
    def kind(self) -> type:
        return complex if self.W.is_complex() else float

    def hold(self, U: Tensor) -> None:
        """Rows with B U = C for the C that stands in W; kept at unit length, so that G stays well scaled."""
        lengths = torch.linalg.vector_norm(U, dim=1, keepdim=True)
        self.U, self.scale = U / lengths, 1 / lengths[:, 0].numpy(force=True).astype(np.float64)

    def orthogonalise(self, w: Tensor, count: int) -> tuple[Tensor, np.ndarray, float]:
        """w without its parts along the first `count` rows of W, these parts' coefficients (count,), and the norm of
        what is left. Classical Gram-Schmidt done twice: four products with a matrix."""
        rows = self.W[:count]
        h = self.system.dots(rows, w)
        w = torch.addmv(w, rows.T, h, alpha=-1)
        again = self.system.dots(rows, w)
        w.addmv_(rows.T, again, alpha=-1)
        return w, (h + again).numpy(force=True), self.system.norm(w)

    def project(self, t: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """t and r after the correction within U that leaves r orthogonal to C; twice, against round-off."""
        C = self.W[: self.k]
        for _ in range(2 if self.k else 0):
            c = self.system.dots(C, r)
            t = t + (c / torch.from_numpy(self.scale).to(c)) @ self.U
            r = torch.addmv(r, C.T, c, alpha=-1)
        return t, r

    def cycle(self, t: Tensor, r: Tensor, norm: float) -> tuple[Tensor, Tensor, float, str | None]:
        """Up to size - k steps from the residual r; t, r and its norm after them, and why to stop, if so."""
        system, k = self.system, self.k
        steps = self.size - k
        G: np.ndarray = np.zeros((self.size + 1, self.size), dtype=self.kind)
        G[range(k), range(k)] = self.scale
        Q = np.eye(steps + 1, dtype=G.dtype)  # the product of all rotations: Q H is upper triangular
        R = np.zeros((steps, steps), dtype=G.dtype)
        torch.div(r, norm, out=self.W[k])
        why, lucky, p, tiny = None, False, 0, 0.0
        while why is None and not lucky and p < steps:
            z = system.precondition(self.W[k + p])
            if self.Z is not None:
                self.Z[p] = z
            w, h, rest = self.orthogonalise(system.product(z), k + p + 1)
            G[: k + p + 1, k + p], G[k + p + 1, k + p] = h, rest
            column = Q[: p + 1, : p + 1] @ h[k:]
            length = hypot(abs(column[p]), rest)
            # a length of zero: nothing is gained, and the residual stays
            c, s = (column[p].conjugate() / length, rest / length) if length != 0 else (0.0, 1.0)
            upper = Q[p, : p + 1].copy()
            Q[p, : p + 1], Q[p + 1, : p + 1] = c * upper, -s * upper
            Q[p, p + 1], Q[p + 1, p + 1] = s, np.conj(c)
            R[:p, p], R[p, p] = column[:p], length
            # an invariant space: the next direction would be round-off
            self.largest = max(self.largest, hypot(rest, abs(np.vdot(h, h)) ** 0.5))
            tiny = ROUND_OFF * system.eps * self.largest
            lucky = rest <= tiny
            torch.div(w, 1.0 if lucky else rest, out=self.W[k + p + 1])
            p += 1
            why = system.stop(norm * float(abs(Q[p, 0])))
        self.G, self.p = G[: k + p + 1, : k + p], p
        last = np.eye(p)[:, -1]  # y is that of the step before plus a multiple of R^-1 e_p
        y, d = solve_upper(R[:p, :p], np.stack([norm * Q[:p, 0], last], axis=1), tiny).T
        y_U, d_U = (-(self.G[:k, k:] @ x) / self.scale for x in (y, d))
        self.direction = np.concatenate([d_U, d])
        t = t + combine(y, self.W[k : k + p] if self.Z is None else self.Z[:p]) + combine(y_U, self.U)
        g = -self.G[k:, k:] @ y
        g[0] += norm
        r = combine(g, self.W[k : k + p + 1])
        norm = system.norm(r)
        if lucky and why is None:
            why = CONVERGED if norm <= system.tolerance else BREAKDOWN
        return t, r, norm, why


def solve_upper(R: np.ndarray, g: np.ndarray, tiny: float) -> np.ndarray:
    """R^-1 g of an upper triangular matrix; the shortest least-squares solution if R is singular but for entries
    below `tiny`."""
    if abs(np.diag(R)).min(initial=np.inf) > tiny:
        return np.linalg.solve(R, g)
    if not np.isfinite(R).all():
        return np.full_like(g, np.nan)
    largest = np.linalg.norm(R, 2)
    return np.linalg.lstsq(R, g, rcond=float(tiny / largest))[0] if largest > tiny else np.zeros_like(g)


def combine(coefficients: np.ndarray, rows: Tensor) -> Tensor:
    """(..., k) and (k, n) -> (..., n)"""
    return torch.from_numpy(coefficients).to(rows) @ rows
