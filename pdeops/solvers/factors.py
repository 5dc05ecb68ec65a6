"""Direct solution of many sparse systems that share one pattern: what depends on the pattern alone is done once."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import splu

from pdeops.errors import InputError
from pdeops.solvers.ordering import Symbolic, analyse

Array = NDArray[Any]
STEPS = 2  # of refinement
ASYMMETRY = 1e-12  # of two entries that should be equal, relative: what assembly in another order leaves
# ways to let SuperLU pivot: first those that keep a symmetric pattern's fill low
SYMMETRIC = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.01, "options": {"SymmetricMode": True}}
GENERAL = {"permc_spec": "COLAMD", "diag_pivot_thresh": 1.0}


class Solved(NamedTuple):
    """The solutions of a batch.

    x (B, n), NaN where the matrix is singular or a sample is not finite; residual (B,): |b - A x| / |b|, of the true
    matrix (|b - A x| where b is zero), infinite where x is NaN; converged (B,): whether that is within the
    tolerance; pivoted (B,): whether SuperLU, with pivoting, solved the sample.
    """

    x: Array
    residual: Array
    converged: Array
    pivoted: Array


class Pattern:
    """Where the entries of a square matrix are, by rows: entries indptr[i] to indptr[i + 1] of row i stand in the
    columns `indices`, in increasing order (scipy's csr_array with sorted indices).

    `shape`: of the lattice (C order) whose stencil this is, if it is one: its unknowns are then eliminated by nested
    dissection where that takes fewer operations than minimum degree (stencils with corners, and three dimensions).
    Patterns are equal by content, and equal ones share their symbolic phase.
    Raises InputError on arrays that are not a pattern.
    """

    def __init__(self, indptr: ArrayLike, indices: ArrayLike, shape: tuple[int, ...] | None = None) -> None:
        self.indptr, self.indices = np.array(indptr, np.int64), np.array(indices, np.int64)
        self.n, self.shape = len(self.indptr) - 1, shape
        counts = np.diff(self.indptr)
        if self.n < 1 or self.indptr[0] or self.indptr[-1] != len(self.indices) or (counts < 0).any():
            raise InputError(
                f"indptr of {self.indptr.shape} numbers and {self.indices.shape} indices are not a pattern by rows. "
                "Give those of a csr_array."
            )
        if len(self.indices) and (self.indices.min() < 0 or self.indices.max() >= self.n):
            span = f"{self.indices.min()} to {self.indices.max()}"
            raise InputError(f"indices from {span} in a matrix of {self.n} rows: wanted a square matrix")
        self.rows = np.repeat(np.arange(self.n), counts)
        if (np.diff(self.rows * self.n + self.indices) <= 0).any():
            raise InputError("indices are not in increasing order within each row. Call sum_duplicates() first.")
        if shape is not None and prod(shape) != self.n:
            raise InputError(f"a lattice of shape {shape} has {prod(shape)} points, the matrix {self.n} rows")
        for array in (self.indptr, self.indices):
            array.flags.writeable = False
        self.key = hashlib.sha256(b"%a" % (shape,) + self.indptr.tobytes() + self.indices.tobytes()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    @cached_property
    def mirror(self) -> NDArray[np.int64] | None:
        """Of each entry, the one opposite the diagonal; None of an unsymmetric pattern."""
        turn = np.lexsort((self.rows, self.indices))
        same = np.array_equal(self.rows[turn], self.indices) and np.array_equal(self.indices[turn], self.rows)
        return turn if same else None

    def matrix(self, values: Array) -> sp.csr_array:
        """The matrix of values (nnz,)."""
        return sp.csr_array((values, self.indices, self.indptr), shape=(self.n, self.n))


def solve(pattern: Pattern, values: ArrayLike, b: ArrayLike, *, rtol: float = 1e-10) -> Solved:
    """Solves A_i x_i = b_i for all i: values (B, nnz), b (B, n), real or complex, in double precision.

    Symmetric matrices (A^T = A; complex ones too), definite or not, are factored as L D L^T without pivoting, several
    at once, and a solution is refined against the true matrix until its relative residual is at most `rtol`. A sample
    that does not get there, an unsymmetric one, and, without numba, every one is solved by SuperLU with pivoting.
    Samples of a batch do not influence each other, not even in the last bit. Raises InputError on other shapes.
    """
    values, b = np.asarray(values), np.asarray(b)
    if values.ndim != 2 or b.shape != (len(values), pattern.n) or values.shape[1] != len(pattern.indices):
        raise InputError(
            f"values of shape {values.shape} and b of shape {b.shape}: wanted (B, {len(pattern.indices)}) and "
            f"(B, {pattern.n}), as the pattern has {len(pattern.indices)} entries and {pattern.n} rows"
        )
    dtype = np.result_type(values, b, np.float64)
    values, b = (np.require(a, dtype, ["C", "W"]) for a in (values, b))  # compiled code has these types only
    x, residual, todo = np.full_like(b, np.nan), np.full(len(b), np.inf), np.full(len(b), True)
    if pattern.mirror is not None and _has_numba():
        _by_lanes(pattern, values, b, rtol, x, residual)
        todo = ~(residual <= rtol)
    for i in np.flatnonzero(todo):
        x[i], residual[i] = np.nan, np.inf
        if np.isfinite(values[i]).all() and np.isfinite(b[i]).all():
            x[i], residual[i] = _pivoted(pattern, values[i], b[i], rtol)
    return Solved(x, residual, residual <= rtol, todo)


class Factors:
    """One matrix, factored by SuperLU once, for any number of right-hand sides. Raises InputError if it is singular."""

    def __init__(self, pattern: Pattern, values: ArrayLike) -> None:
        values = np.asarray(values)
        if values.shape != pattern.indices.shape:
            raise InputError(f"values of shape {values.shape}: wanted ({len(pattern.indices)},), one for each entry")
        self._matrix = pattern.matrix(values.astype(np.result_type(values, np.float64)))
        try:
            self._lu = splu(self._matrix.tocsc(), **_ways(pattern)[0])
        except RuntimeError as error:
            raise InputError(f"the matrix cannot be factored: {error}") from None

    def solve(self, b: ArrayLike, *, rtol: float = 1e-10) -> Solved:
        """The solutions of A x_i = b_i for b (B, n)."""
        b = np.asarray(b)
        if b.ndim != 2 or b.shape[1] != self._matrix.shape[0]:
            raise InputError(f"b of shape {b.shape}: wanted (B, {self._matrix.shape[0]})")
        x, residual = _refined(self._lu, self._matrix, b.T, rtol)
        return Solved(x.T, residual, residual <= rtol, np.full(len(b), True))


@lru_cache(maxsize=16)
def _symbolic(pattern: Pattern) -> Symbolic:
    return analyse(pattern.rows, pattern.indices, pattern.n, pattern.shape)


def _has_numba() -> bool:
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def _by_lanes(pattern: Pattern, values: Array, b: Array, rtol: float, x: Array, residual: Array) -> None:
    """Those samples whose matrices are symmetric."""
    from pdeops.solvers.compiled import ldlt

    tree = _symbolic(pattern)
    which = np.flatnonzero(ldlt.symmetric(values, pattern.mirror, ASYMMETRY))
    scratch = ldlt.scratch(tree, values.dtype)
    for i in range(0, len(which), ldlt.LANES):
        group = which[i : i + ldlt.LANES]
        ldlt.solve(values, b, group, pattern.indptr, pattern.indices, tree, rtol, STEPS, x, residual, *scratch)


def _ways(pattern: Pattern) -> tuple[dict[str, Any], ...]:
    return (GENERAL,) if pattern.mirror is None else (SYMMETRIC, GENERAL)


def _pivoted(pattern: Pattern, values: Array, b: Array, rtol: float) -> tuple[Array, float]:
    """x and its residual by the first way that meets the tolerance, else by the best."""
    matrix = pattern.matrix(values)
    x, residual = np.full_like(b, np.nan), np.inf
    for way in _ways(pattern):
        try:
            lu = splu(matrix.tocsc(), **way)
        except RuntimeError:  # singular, as far as this way goes
            continue
        (now,), (left,) = (a.T for a in _refined(lu, matrix, b[:, None], rtol))
        if left < residual:
            x, residual = now, float(left)
        if residual <= rtol:
            break
    return x, residual


def _refined(lu: Any, matrix: sp.csr_array, b: Array, rtol: float) -> tuple[Array, Array]:
    """x (n, B) for b (n, B), and |b - A x| / |b|; columns are refined until they meet the tolerance."""

    def back(b: Array) -> Array:
        if np.iscomplexobj(b) and not np.iscomplexobj(matrix):
            return lu.solve(b.real) + 1j * lu.solve(b.imag)
        return lu.solve(b.astype(matrix.dtype, copy=False))

    size = np.linalg.norm(b, axis=0)
    size[size == 0] = 1.0
    x = back(b)
    r = b - matrix @ x
    residual = np.linalg.norm(r, axis=0) / size
    for _ in range(STEPS):
        if not (residual > rtol).any():
            break
        moved = x + back(r)
        left = b - matrix @ moved
        now = np.linalg.norm(left, axis=0) / size
        better = (now < residual) & (residual > rtol)
        x, r, residual = np.where(better, moved, x), np.where(better, left, r), np.where(better, now, residual)
    return x, residual
