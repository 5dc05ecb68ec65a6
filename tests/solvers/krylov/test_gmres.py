"""GMRES and FGMRES, and the Arnoldi relation beneath them."""

import numpy as np
import pytest
import scipy.sparse.linalg
import torch

from pdeops.errors import InputError
from pdeops.solvers.krylov import fgmres, gcrodr, gmres
from pdeops.solvers.krylov.arnoldi import Arnoldi, solve_upper
from pdeops.solvers.krylov.gmres import PATIENCE
from pdeops.solvers.krylov.system import BREAKDOWN, CONVERGED, System
from tests.solvers.krylov.systems import definite, general, unitary, vector


def system_of(A, b, **others):
    options = {"x0": None, "rtol": 1e-10, "atol": 0.0, "maxiter": None, "M": None, "inner": None, "callback": None}
    return System(A, b, **(options | others))


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_arnoldi_relation_and_least_squares(kind, preconditioned):
    A, b, p = general(kind=kind), vector(kind=kind), 7
    M = general(kind=kind, seed=9) if preconditioned else np.eye(40)
    system = system_of(A, b, M=M)
    engine = Arnoldi(system, p)
    t, r, norm, why = engine.cycle(torch.zeros_like(system.b), system.b, system.size)
    W = engine.W.numpy().T
    np.testing.assert_allclose(A @ M @ W[:, :p], W @ engine.G, atol=1e-12)
    np.testing.assert_allclose(W.conj().T @ W, np.eye(p + 1), atol=1e-13)
    best = W[:, :p] @ np.linalg.lstsq(A @ M @ W[:, :p], b, rcond=None)[0]
    np.testing.assert_allclose(t.numpy(), best, atol=1e-11)
    np.testing.assert_allclose(r.numpy(), b - A @ M @ best, atol=1e-11)
    assert norm == pytest.approx(system.size * system.history[-1], rel=1e-10)
    assert why is None


def test_orthogonality_survives_nearly_dependent_vectors():
    """Gram-Schmidt done once would leave errors of round-off times the condition of the Krylov basis."""
    A, b = definite(60, condition=1e10), vector(60)
    engine = Arnoldi(system_of(A, b, rtol=1e-16), 40)
    engine.cycle(torch.zeros(60, dtype=torch.float64), torch.from_numpy(b), float(np.linalg.norm(b)))
    W = engine.W[: engine.p + 1].numpy()
    assert np.abs(W @ W.T - np.eye(len(W))).max() < 1e-14


@pytest.mark.parametrize("kind", [float, complex])
@pytest.mark.parametrize("method", [gmres, fgmres, gcrodr])
def test_steps_are_those_of_scipy(kind, method):
    A, b, m = general(kind=kind) - 2 * np.eye(40), vector(kind=kind), 6
    norms = []
    scipy.sparse.linalg.gmres(A, b, restart=m, maxiter=5, rtol=1e-9, callback=norms.append, callback_type="pr_norm")
    solve = method(A, b, m=m, maxiter=30, rtol=1e-9, **({"k": 0} if method is gcrodr else {}))
    np.testing.assert_allclose(solve.history[1 : len(norms) + 1], norms, rtol=1e-6)
    assert len(norms) == solve.iterations


@pytest.mark.parametrize("rtol", [1e-2, 1e-5, 1e-9])
def test_counts_are_those_of_scipy(rtol):
    A, b, norms = definite(condition=300), vector(), []
    _, info = scipy.sparse.linalg.gmres(
        A, b, restart=10, maxiter=100, rtol=rtol, callback=norms.append, callback_type="pr_norm"
    )
    assert info == 0
    assert gmres(A, b, m=10, rtol=rtol).iterations == len(norms)


def test_a_fixed_preconditioner_makes_fgmres_gmres():
    A, b, M = general(), vector(), definite(condition=3, seed=4)
    a, f = gmres(A, b, M=M, m=8), fgmres(A, b, M=M, m=8)
    np.testing.assert_allclose(f.history, a.history, rtol=1e-7)
    assert f.preconditionings == f.iterations  # no further one: the results are kept
    assert a.preconditionings == a.iterations + 1


def test_fgmres_takes_a_preconditioner_that_changes():
    A, b = definite(condition=1e3), vector()
    count = []

    def inner_solve(v):
        count.append(1)
        return gmres(A, v, rtol=0.5 if len(count) % 2 else 0.1).x

    flexible, rigid = fgmres(A, b, M=inner_solve, rtol=1e-10), gmres(A, b, M=inner_solve, rtol=1e-10, maxiter=40)
    assert flexible.converged
    assert flexible.iterations < 25
    assert np.linalg.norm(b - A @ flexible.x) <= 1.1e-10 * np.linalg.norm(b)
    assert not rigid.converged or rigid.iterations > flexible.iterations


def test_lucky_breakdown_holds_the_solution():
    Q = unitary(30)
    A = (Q * np.where(np.arange(30) < 10, -2.0, 5.0)) @ Q.T
    solve = gmres(A, vector(30), rtol=1e-14)
    assert solve.iterations == 2
    assert solve.residual < 1e-13


def test_breakdown_without_a_solution():
    """A nilpotent shift: A K = K, but b is not in the range."""
    A, b = np.eye(5, k=1), np.eye(5)[4]
    solve = gmres(A, b)
    assert not solve.converged
    assert solve.reason == BREAKDOWN
    assert solve.residual == pytest.approx(1)


def test_breakdown_is_seen_above_round_off():
    """Two eigenvalues, one of them zero, and b with a part outside the range: two vectors span the Krylov space."""
    Q = unitary(30)
    solve = gmres((Q * np.where(np.arange(30) < 10, 0.0, 5.0)) @ Q.T, vector(30))
    assert not solve.converged
    assert solve.reason == BREAKDOWN
    assert solve.iterations <= 4
    assert solve.residual == pytest.approx(np.linalg.norm(Q[:, :10].T @ vector(30)) / np.linalg.norm(vector(30)))


def test_full_stagnation_ends():
    """GMRES(m) makes no progress at all on a cyclic shift of more than m entries."""
    A, b = np.roll(np.eye(50), 1, axis=0), np.eye(50)[0]
    solve = gmres(A, b, m=10)
    assert not solve.converged
    assert "stagnation" in solve.reason
    assert solve.iterations <= 10 * PATIENCE
    assert gmres(A, b, m=50).converged


def test_solve_upper():
    R, g = np.triu(general(5)), vector(5)
    np.testing.assert_allclose(solve_upper(R, g, 1e-16), np.linalg.solve(R, g))
    R[2, 2] = 0
    np.testing.assert_allclose(solve_upper(R, g, 1e-16), np.linalg.lstsq(R, g, rcond=None)[0])


def test_bad_restart():
    with pytest.raises(InputError, match="m=0"):
        gmres(np.eye(3), np.ones(3), m=0)
    assert gmres(np.eye(3), np.ones(3), m=1).reason == CONVERGED
