"""What all Krylov methods share: a linear system on flat vectors, its counts, and the check of the true residual."""

from __future__ import annotations

from collections.abc import Callable
from math import frexp, inf, isfinite, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.solve import Solve

Inner = Callable[[Any, Any], Any]
Callback = Callable[[int, float], None]
Product = Callable[[Tensor], Tensor]

CONVERGED = "converged: the true residual is within the tolerance"
BREAKDOWN = "breakdown: the next step would divide by zero; the system may be singular, or the method unfit for it"
NOT_FINITE = "not finite: the operator, the preconditioner or the method made NaN or infinity"

LEAST_GAIN = 0.99  # a window of steps that leaves more than this part of the residual is stagnation
RESTART_GAIN = 0.9  # a restart from the true residual is worth while if the attempt before left less than this part
ROUND_OFF = 50  # of what is smaller than this times the precision of its parts, no digit is right
DTYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)


class System:
    """A x = b with vectors as flat tensors (n,), whatever b is: NumPy or torch, of any shape, real or complex.

    A and M, an approximate inverse of A, are scipy LinearOperators, sparse or dense matrices (n, n), or callables on
    arrays of b's kind and shape (of SuperLU's factors: their `solve`). The goal is |b - A x| <= max(rtol |b|, atol);
    x0: where to start, else zero; maxiter: steps, None for ten per unknown; callback(step, relative residual).
    Every product is counted in `applications` (A) and `preconditionings` (M). inner(u, v), conjugate-linear in u, of
    arrays of b's kind and shape replaces the Euclidean inner product; norms are taken in it as well.
    window: steps after which too small a gain is stagnation.
    Raises InputError on shapes, types and values that cannot be solved with.
    """

    def __init__(
        self,
        A: Any,
        b: Any,
        *,
        x0: Any,
        rtol: float,
        atol: float,
        maxiter: int | None,
        M: Any,
        inner: Inner | None,
        callback: Callback | None,
        window: int | None = None,
    ) -> None:
        self.is_numpy = not isinstance(b, Tensor)
        given = [x for x in (b, x0) if x is not None]
        b, *start = [torch.from_numpy(np.array(x)) if not isinstance(x, Tensor) else x.detach() for x in given]
        if not b.numel():
            raise InputError("b is empty; wanted at least one unknown")
        if start and start[0].shape != b.shape:
            raise InputError(f"x0 has shape {tuple(start[0].shape)}; wanted b's, {tuple(b.shape)}")
        if not (rtol >= 0 and atol >= 0):
            raise InputError(f"rtol={rtol} and atol={atol}: wanted two tolerances that are not negative")
        if maxiter is not None and maxiter < 0:
            raise InputError(f"maxiter={maxiter}: wanted a number of steps, or None for ten per unknown")
        self.shape, self.inner, self.callback = b.shape, inner, callback
        dtype = b.dtype if b.is_floating_point() or b.is_complex() else torch.float64
        for x in (*start, A, M):
            dtype = torch.promote_types(dtype, _dtype(x)) if getattr(x, "dtype", None) is not None else dtype
        if dtype not in DTYPES:
            raise InputError(f"b, x0, A and M together are of {dtype}; wanted single or double precision: convert them")
        self.b = b.reshape(-1).to(dtype)
        # a b whose square leaves the range of numbers is solved for in a unit of its own
        largest, bound = float(self.b.abs().max()), torch.finfo(dtype).max ** 0.25
        extreme = isfinite(largest) and largest > 0 and not 1 / bound < largest < bound
        self.unit = 2.0 ** frexp(largest)[1] if extreme else 1.0
        self.b = self.b / self.unit if self.unit != 1 else self.b
        self.x0 = start[0].reshape(-1).to(self.b) / self.unit if start else None
        self.eps = torch.finfo(dtype).eps
        self.A, self.M = A, M
        self._A, self._A_rows = self._products(A, "A")
        self._M: Product | None = None
        if M is not None:
            self._M, self._M_rows = self._products(M, "M")
        self.applications = self.preconditionings = 0
        self.size = self.norm(self.b)
        if not isfinite(self.size) or (self.x0 is not None and not self.x0.isfinite().all()):
            raise InputError("b or x0 is not finite: look for NaN and infinity in what it was made of")
        self.tolerance = max(rtol * self.size, atol / self.unit)
        self.maxiter = 10 * self.n if maxiter is None else maxiter
        self.window = min(max(self.n, 100), 2000) if window is None else window
        self.rest: Tensor | None = None  # b - A x of the solution
        self.history: list[float] = []
        self._best: list[float] = []

    @property
    def n(self) -> int:
        return self.b.numel()

    @property
    def iterations(self) -> int:
        return len(self.history) - 1

    def product(self, v: Tensor) -> Tensor:
        """A v, counted. The result may be the operator's own memory: it is never written to."""
        self.applications += 1
        return self._A(v)

    def precondition(self, v: Tensor) -> Tensor:
        """M v, counted; v itself without a preconditioner."""
        if self._M is None:
            return v
        self.preconditionings += 1
        return self._M(v)

    def products(self, rows: Tensor) -> Tensor:
        """A M v of every row v, (k, n) -> (k, n), counted; a matrix takes all of them at once."""
        self.applications += len(rows)
        if self._M is not None:
            self.preconditionings += len(rows)
            rows = self._M_rows(rows)
        return self._A_rows(rows)

    def dots(self, rows: Tensor, w: Tensor) -> Tensor:
        """The inner products (v, w) with every row v: (k, n), (n,) -> (k,)."""
        if self.inner is None:
            return torch.mv(rows, w.conj()).conj()
        shaped = self.shaped(w)
        values = [torch.as_tensor(self.inner(self.shaped(v), shaped)) for v in rows]
        return torch.stack(values).to(w) if values else w[:0]

    def gram(self, rows: Tensor, others: Tensor) -> Tensor:
        """The inner products (v, w) of every row v with every other row w: (j, n), (k, n) -> (j, k)."""
        if self.inner is None:
            return (rows @ others.mH).conj()
        return torch.stack([self.dots(rows, w) for w in others], dim=1) if len(others) else rows.new_empty(len(rows), 0)

    def dot(self, v: Tensor, w: Tensor) -> complex:
        return (torch.vdot(v, w) if self.inner is None else self.dots(v[None], w)[0]).item()

    def norm(self, w: Tensor) -> float:
        if self.inner is None:
            return float(torch.linalg.vector_norm(w))
        square = self.dot(w, w).real
        if square < 0:
            raise InputError(f"inner(u, u) = {square:g} for some u; wanted an inner product, which is never negative")
        return sqrt(square) if isfinite(square) else inf

    def shaped(self, v: Tensor) -> Any:
        """A flat vector as an array of b's kind and shape."""
        v = v.reshape(self.shape)
        return v.numpy() if self.is_numpy else v

    def stop(self, norm: float) -> str | None:
        """Takes down the residual norm of a step; a sentence if it is to be the last one."""
        relative = float(norm / self.size)
        self.history.append(relative)
        self._best.append(min(relative, self._best[-1]) if self._best else relative)
        if self.callback is not None and self.iterations:
            self.callback(self.iterations, relative)
        if norm <= self.tolerance:
            return CONVERGED
        if not isfinite(norm):
            return NOT_FINITE
        if self.iterations >= self.maxiter:
            return f"iteration limit: {self.maxiter} steps did not reach the tolerance. Raise maxiter or precondition"
        if self.iterations >= self.window and self._best[-1] > LEAST_GAIN * self._best[-1 - self.window]:
            return f"stagnation: the residual fell by less than 1 % in {self.window} steps. Precondition the system"
        return None

    def solve(self, attempt: Callable[[Tensor, float], tuple[Tensor, str]]) -> Solve:
        """Runs `attempt`, which takes a residual r and its norm and gives (y, reason) with A y near r, until the true
        residual is within the tolerance or an attempt has gained too little. A y that makes the residual worse is
        not taken."""
        if self.size == 0:
            return self._outcome(torch.zeros_like(self.b), 0.0, "converged: b is zero, and so is x")
        x, r, norm = torch.zeros_like(self.b), self.b, self.size
        if self.x0 is not None:
            x, r = self.x0, self.b - self.product(self.x0)
            norm = self.norm(r)
        why = self.stop(norm)
        while why is None:
            y, why = attempt(r, norm)
            y = x + y
            s = self.b - self.product(y)
            before, after = norm, self.norm(s)
            if isfinite(after) and after <= norm:
                x, r, norm = y, s, after
                self.rest = r
            if norm <= self.tolerance:
                why = CONVERGED
            elif why in (CONVERGED, BREAKDOWN):
                if norm <= RESTART_GAIN * before:
                    why = None
                elif why == CONVERGED:
                    why = "stagnation: the true residual stays above the tolerance, at the limit of the arithmetic"
        return self._outcome(x, norm, why)

    def _outcome(self, x: Tensor, norm: float, reason: str) -> Solve:
        return Solve(
            x=self.shaped(x * self.unit),
            converged=norm <= self.tolerance,
            reason=reason,
            residual=norm / (self.size or 1.0),
            iterations=max(self.iterations, 0),
            applications=self.applications,
            preconditionings=self.preconditionings,
            history=tuple(self.history),
        )

    def _products(self, A: Any, name: str) -> tuple[Product, Product]:
        """Products with a vector (n,) and with the rows (k, n)."""
        shape = getattr(A, "shape", None)
        if shape is not None and tuple(shape) != (self.n, self.n):
            raise InputError(f"{name} has shape {tuple(shape)}; wanted {(self.n, self.n)}, as b has {self.n} entries")
        if not callable(A) and (shape is None or not hasattr(A, "__matmul__")):
            raise InputError(f"{name} is of type {type(A).__name__}; wanted a matrix, a LinearOperator or a function")
        if shape is not None and isinstance(A, Tensor) == self.is_numpy:
            kinds = ("an array", "a tensor") if self.is_numpy else ("a tensor", "an array of NumPy or scipy")
            raise InputError(f"b is {kinds[0]} and {name} {kinds[1]}; wanted both of one kind, or a function")

        def flat(w: Any) -> Tensor:
            if not isinstance(w, Tensor):
                w = np.ascontiguousarray(w)
                w = torch.from_numpy(w if w.flags.writeable else w.copy())
            if w.dtype == self.b.dtype and w.device == self.b.device:
                return w
            if w.is_complex() and not self.b.is_complex():
                raise InputError(f"{name} made complex numbers of real ones; give b a complex type")
            return w.to(self.b)

        def by_function(v: Tensor) -> Tensor:
            w = flat(A(self.shaped(v)))
            if w.shape != self.shape:
                raise InputError(f"{name} made shape {tuple(w.shape)} of {tuple(self.shape)}; wanted the same")
            return w.reshape(-1)

        if shape is None:
            return by_function, lambda rows: torch.stack([by_function(v).clone() for v in rows])
        if self.is_numpy:
            return lambda v: flat(A @ v.numpy()), lambda rows: flat(A @ rows.numpy().T).T
        A = A.to(self.b)
        return lambda v: A @ v, lambda rows: (A @ rows.T).T


def _dtype(x: Any) -> torch.dtype:
    return x.dtype if isinstance(x, Tensor) else torch.from_numpy(np.empty(0, x.dtype)).dtype
