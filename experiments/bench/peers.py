"""Other people's solvers of sparse systems that share one pattern. Each is built once (analysis, symbolic phase,
what may be reused) and then called with a matrix and a right-hand side; what it does at a call is what is timed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import cg, splu

Solver = Callable[[sparse.csr_array, np.ndarray], np.ndarray]


def superlu(pattern: sparse.csr_array, definite: bool) -> Solver:
    """SciPy's, at its best: minimum degree on A^T + A in symmetric mode (or its default ordering where A is
    unsymmetric)."""
    symmetric = abs(pattern - pattern.T).max() == 0
    best = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.01, "options": {"SymmetricMode": True}}
    return lambda A, b: splu(A.tocsc(), **(best if symmetric else {})).solve(b)


def superlu_by_default(pattern: sparse.csr_array, definite: bool) -> Solver:
    """SciPy's as `spsolve` calls it: columns ordered for unsymmetric matrices."""
    return lambda A, b: splu(A.tocsc()).solve(b)


def pardiso(pattern: sparse.csr_array, definite: bool) -> Solver:
    """MKL's through pypardiso, with its analysis reused."""
    from pypardiso import PyPardisoSolver

    symmetric = abs(pattern - pattern.T).max() == 0
    complex_ = np.iscomplexobj(pattern.data)
    kind = (6 if symmetric else 13) if complex_ else (2 if definite else -2) if symmetric else 11
    solver = PyPardisoSolver(mtype=kind)

    def half(A: sparse.csr_array) -> sparse.csr_matrix:
        return sparse.csr_matrix(sparse.triu(A, format="csr") if symmetric else A)

    if symmetric:  # nested dissection, no scaling, no matching: faster than its defaults, and exact enough
        for i, value in {1: 1, 2: 2, 10: 0, 11: 0, 13: 0}.items():
            solver.set_iparm(i, value)
    solver.set_phase(12)
    solver._call_pardiso(half(pattern), np.ones(pattern.shape[0], pattern.dtype))

    def solve(A: sparse.csr_array, b: np.ndarray) -> np.ndarray:
        upper = half(A)
        solver.set_phase(23)
        return solver._call_pardiso(upper, b)

    return solve


def cholmod(pattern: sparse.csr_array, definite: bool) -> Solver | None:
    """CHOLMOD through cvxopt, with its symbolic phase reused, supernodal."""
    if not definite:
        return None
    import cvxopt
    import cvxopt.cholmod

    cvxopt.cholmod.options["supernodal"] = 2
    lower = sparse.tril(pattern, format="coo")
    rows, columns = (cvxopt.matrix(x.astype(int).tolist()) for x in (lower.row, lower.col))
    count = cvxopt.matrix(np.arange(1.0, lower.nnz + 1))
    place = np.array(cvxopt.spmatrix(count, rows, columns, pattern.shape).V).ravel().astype(int) - 1
    values = cvxopt.spmatrix(cvxopt.matrix(lower.data), rows, columns, pattern.shape)
    factors = cvxopt.cholmod.symbolic(values)

    def solve(A: sparse.csr_array, b: np.ndarray) -> np.ndarray:
        values.V = cvxopt.matrix(sparse.tril(A, format="coo").data[place])
        x = cvxopt.matrix(b)
        cvxopt.cholmod.numeric(values, factors)
        cvxopt.cholmod.solve(factors, x)
        return np.array(x).ravel()

    return solve


def pyamg(pattern: sparse.csr_array, definite: bool, rtol: float = 1e-8) -> Solver | None:
    """Ruge and Stueben's multigrid with conjugate gradients, set up for each matrix."""
    if not definite:
        return None
    import pyamg

    def solve(A: sparse.csr_array, b: np.ndarray) -> np.ndarray:
        hierarchy = pyamg.ruge_stuben_solver(sparse.csr_matrix(A))
        return hierarchy.solve(b, tol=rtol, accel="cg", maxiter=100)

    return solve


def jacobi_cg(pattern: sparse.csr_array, definite: bool, rtol: float = 1e-8) -> Solver | None:
    """SciPy's conjugate gradients behind the diagonal."""
    if not definite:
        return None

    def solve(A: sparse.csr_array, b: np.ndarray) -> np.ndarray:
        return cg(A, b, rtol=rtol, M=sparse.diags_array(1 / A.diagonal()), maxiter=20_000)[0]

    return solve


PEERS = {
    "SuperLU": superlu,
    "SuperLU as spsolve has it": superlu_by_default,
    "Pardiso": pardiso,
    "CHOLMOD": cholmod,
    "pyamg": pyamg,
    "SciPy CG + Jacobi": jacobi_cg,
}


def installed(pattern: sparse.csr_array, definite: bool) -> dict[str, Solver]:
    """Those that are installed and take such matrices."""
    out: dict[str, Solver] = {}
    for name, make in PEERS.items():
        with contextlib.suppress(ImportError):
            solver = make(pattern, definite)
            if solver:
                out[name] = solver
    missing = {"pypardiso", "cvxopt", "pyamg"} - {m for m in ("pypardiso", "cvxopt", "pyamg") if _found(m)}
    if missing:
        print(f"not installed, and skipped: {', '.join(sorted(missing))}")
    return out


def _found(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
