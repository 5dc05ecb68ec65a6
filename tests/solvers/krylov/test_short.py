"""CG, MINRES and BiCGStab: what sets each of them apart."""

import numpy as np
import pytest
import scipy.sparse.linalg

from pdeops.solvers.krylov import bicgstab, cg, gmres, minres
from tests.solvers.krylov.systems import definite, general, indefinite, vector


def krylov_basis(B, v, j):
    columns = [v]
    for _ in range(j - 1):
        columns.append(B @ columns[-1])
        columns[-1] = columns[-1] / np.linalg.norm(columns[-1])
    return np.linalg.qr(np.stack(columns, axis=1))[0]


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_cg_has_the_least_energy_of_the_error(kind, preconditioned):
    A, b, j = definite(kind=kind), vector(kind=kind), 6
    M = definite(condition=9, kind=kind, seed=4) if preconditioned else np.eye(40)
    K = krylov_basis(M @ A, M @ b, j)
    best = K @ np.linalg.solve(K.conj().T @ A @ K, K.conj().T @ b)
    np.testing.assert_allclose(cg(A, b, M=M, maxiter=j).x, best, atol=1e-10)


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_minres_has_the_least_residual(kind, preconditioned):
    A, b, j = indefinite(kind=kind), vector(kind=kind), 6
    M = definite(condition=9, kind=kind, seed=4) if preconditioned else np.eye(40)
    K, root = krylov_basis(M @ A, M @ b, j), np.linalg.cholesky(M).conj().T  # (r, M r) = |root r|^2
    best = K @ np.linalg.lstsq(root @ A @ K, root @ b, rcond=None)[0]
    np.testing.assert_allclose(minres(A, b, M=M, maxiter=j).x, best, atol=1e-10)


def test_minres_is_gmres_on_self_adjoint_systems():
    A, b = indefinite(), vector()
    np.testing.assert_allclose(minres(A, b).history[:20], gmres(A, b).history[:20], rtol=1e-6)


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_bicgstab_is_that_of_scipy(kind, preconditioned):
    A, b = general(kind=kind), vector(kind=kind)
    M = definite(condition=3, kind=kind, seed=4) if preconditioned else None
    iterates = []
    scipy.sparse.linalg.bicgstab(A, b, M=M, rtol=1e-6, callback=lambda x: iterates.append(x.copy()))
    for j in (1, 3, 6):
        np.testing.assert_allclose(bicgstab(A, b, M=M, maxiter=j).x, iterates[j - 1], atol=1e-8)


def test_cg_says_what_is_not_definite():
    b = vector()
    solve = cg(indefinite(), b)
    assert not solve.converged
    assert "A is not positive definite" in solve.reason
    assert "M is not positive definite" in cg(definite(), b, M=-np.eye(40)).reason
    assert "M is not positive definite" in minres(definite(), b, M=-np.eye(40)).reason


def test_minres_meets_a_breakdown_with_the_solution():
    """Two eigenvalues: the Krylov space ends after two steps."""
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((30, 30)))[0]
    A = (Q * np.where(np.arange(30) < 10, -2.0, 5.0)) @ Q.T
    solve = minres(A, vector(30), rtol=1e-12)
    assert solve.converged
    assert solve.iterations == 2


def test_bicgstab_starts_again_from_a_breakdown():
    """A skew A: omega = 0 in the first step, and no step of this method gains anything."""
    A = np.array([[0.0, 1.0], [-1.0, 0.0]])
    solve = bicgstab(A, np.array([1.0, 0.0]))
    assert not solve.converged
    assert "breakdown" in solve.reason
