"""GCRO-DR: invariants of the recycled space, and what recycling must and must not change."""

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.solvers.krylov import RecycleSpace, gcrodr, gmres, minres
from pdeops.solvers.krylov.arnoldi import Arnoldi
from pdeops.solvers.krylov.gcrodr import adopt, harmonic_ritz, harvest
from tests.solvers.krylov.systems import Counting, definite, general, laplacian, unitary, vector, with_eigenvalues
from tests.solvers.krylov.test_gmres import system_of

KINDS = [float, complex]


def engine_with(A, M, b, U, size):
    system = system_of(A, b, M=M, rtol=1e-14)
    engine = Arnoldi(system, size)
    U = torch.from_numpy(U)
    dropped = adopt(engine, U, system.products(U))
    return system, engine, dropped


def assert_invariants(A, M, engine):
    """A M U = C D, C^H C = I, U of unit length."""
    U, C = engine.U.numpy().T, engine.W[: engine.k].numpy().T
    np.testing.assert_allclose(A @ M @ U, C * engine.scale, atol=1e-11)
    np.testing.assert_allclose(C.conj().T @ C, np.eye(engine.k), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(U, axis=0), 1)
    return C


@pytest.mark.parametrize("kind", KINDS)
def test_invariants_of_every_cycle(kind):
    A, M, b = general(kind=kind), general(kind=kind, seed=8), vector(kind=kind)
    start = np.stack([vector(kind=kind, seed=i) for i in range(10, 14)])
    system, engine, dropped = engine_with(A, M, b, start, 11)
    assert (dropped, engine.k) == (0, 4)
    C = assert_invariants(A, M, engine)
    span = np.linalg.lstsq(engine.U.numpy().T, start.T, rcond=None)[0]
    np.testing.assert_allclose(engine.U.numpy().T @ span, start.T, atol=1e-11)  # still the same space
    t, r = engine.project(torch.zeros_like(system.b), system.b)
    np.testing.assert_allclose(r.numpy(), b - A @ M @ t.numpy(), atol=1e-11)
    np.testing.assert_allclose(C.conj().T @ r.numpy(), 0, atol=1e-13)
    norm = system.norm(r)
    for k in (5, 5, 3):
        old, before = engine.k, norm
        t, r, norm, _ = engine.cycle(t, r, norm)
        V = np.concatenate([engine.U.numpy(), engine.W[old : old + engine.p].numpy()]).T
        W = engine.W[: old + engine.p + 1].numpy().T
        np.testing.assert_allclose(A @ M @ V, W @ engine.G, atol=1e-11)
        np.testing.assert_allclose(W.conj().T @ W, np.eye(W.shape[1]), atol=1e-12)
        np.testing.assert_allclose(r.numpy(), b - A @ M @ t.numpy(), atol=1e-11)
        assert norm <= before
        harvest(engine, k, last=False)
        assert engine.k == k
        C = assert_invariants(A, M, engine)
        np.testing.assert_allclose(C.conj().T @ r.numpy(), 0, atol=1e-12)
        # of the space before, nothing from outside
        assert np.linalg.norm(engine.U.numpy().T - V @ np.linalg.lstsq(V, engine.U.numpy().T, rcond=None)[0]) < 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_harvested_directions_are_the_harmonic_ritz_vectors(kind):
    """(B V z - theta V z) is orthogonal to B V, and theta are the smallest."""
    A, b = general(kind=kind), vector(kind=kind)
    _, engine, _ = engine_with(A, None, b, np.stack([vector(kind=kind, seed=i) for i in (3, 4)]), 10)
    t, r = engine.project(torch.zeros_like(engine.system.b), engine.system.b)
    engine.cycle(t, r, engine.system.norm(r))
    V = np.concatenate([engine.U.numpy(), engine.W[2 : 2 + engine.p].numpy()]).T
    theta, z = np.linalg.eig(np.linalg.solve((A @ V).conj().T @ V, (A @ V).conj().T @ A @ V))
    smallest = np.argsort(abs(theta))[:4]
    if kind is float and theta[smallest].imag.sum() != 0:
        smallest = smallest[:3]  # the pair is not cut
    harvest(engine, 4, last=True)
    wanted, U = V @ z[:, smallest], engine.U.numpy().T
    assert np.linalg.norm(wanted - U @ np.linalg.lstsq(U, wanted, rcond=None)[0]) < 1e-9
    assert engine.k >= len(smallest)


def test_a_complex_pair_is_kept_whole_or_left_out():
    """1 / theta = 10, 8 +- 1 i, 1: of two directions the pair does not fit beside the first."""
    T = np.zeros((4, 4))
    T[0, 0], T[1:3, 1:3], T[3, 3] = 10, [[8, 1], [-1, 8]], 1
    G = np.eye(5, 4)
    F = np.concatenate([T, np.zeros((1, 4))])
    spaces = [np.linalg.qr(harmonic_ritz(G, F, k, real=True))[0] for k in (1, 2, 3)]
    assert [s.shape[1] for s in spaces] == [1, 2, 3]
    np.testing.assert_allclose(abs(spaces[1]).T.round(12), np.eye(4)[[0, 3]])
    np.testing.assert_allclose((spaces[2] @ spaces[2].T).round(12), np.diag([1, 1, 1, 0]))


def test_a_self_adjoint_system_goes_on_as_without_restarts():
    """The last step's direction in the space makes GCRO-DR(10, 4) take the steps of MINRES; without it, more."""
    A, b = laplacian(60), np.ones(60)
    short, long = gcrodr(A, b, m=10, k=4, rtol=1e-8), minres(A, b, rtol=1e-8)
    assert short.iterations == long.iterations
    assert gmres(A, b, m=10, rtol=1e-8).iterations > 3 * short.iterations


@pytest.mark.parametrize("kind", KINDS)
def test_exact_eigenvectors_are_deflated(kind):
    """With the k small eigenvalues out of the way the count is that of the rest of the spectrum."""
    n, k = 60, 5
    values = np.concatenate([np.geomspace(1e-5, 1e-3, k), np.linspace(1, 3, n - k)])
    Q = unitary(n, kind)
    A, b = (Q * values) @ Q.conj().T, vector(n, kind)
    recycled = gcrodr(A, b, k=k, rtol=1e-8, recycle=RecycleSpace(torch.from_numpy(Q[:, :k].T.copy())))
    easy = gmres((Q[:, k:] * values[k:]) @ Q[:, k:].conj().T + Q[:, :k] @ Q[:, :k].conj().T, b, rtol=1e-8)
    assert recycled.converged
    assert abs(recycled.iterations - easy.iterations) <= 2
    assert gcrodr(A, b, k=k, rtol=1e-8).iterations > 1.3 * recycled.iterations


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_sequences(kind, preconditioned):
    """Slowly changing systems: the same solutions, honest counts, and fewer products."""
    n, space = 80, RecycleSpace()
    base = with_eigenvalues(np.concatenate([np.geomspace(1e-3, 0.1, 10), np.linspace(1, 3, n - 10)]), kind)
    change = 1e-4 * definite(n, kind, condition=10, seed=6)
    M = definite(n, kind, condition=2, seed=3) if preconditioned else None
    spent, cold = 0, 0
    for i in range(5):
        A, b = base + i * change, vector(n, kind, seed=20 + i)
        operator, MC = Counting(A), Counting(M) if preconditioned else None
        solve = gcrodr(operator, b, M=MC, m=25, k=12, rtol=1e-9, recycle=space)
        assert solve.converged
        assert np.linalg.norm(b - A @ solve.x) <= 1.01e-9 * np.linalg.norm(b)
        np.testing.assert_allclose(solve.x, np.linalg.solve(A, b), atol=1e-6)
        assert solve.applications == operator.calls
        assert solve.preconditionings == (MC.calls if preconditioned else 0)
        assert solve.applications == solve.iterations + (12 if i else 0) + 1
        if i:
            spent += solve.applications
            cold += gcrodr(A, b, M=M, m=25, k=12, rtol=1e-9).applications
    assert spent < 0.7 * cold
    assert (space.systems, space.dimension, space.applications) == (5, 12, 4 * 12)


def test_the_same_operator_keeps_its_images():
    A, space = definite(80, condition=1e4), RecycleSpace()
    first, second = (gcrodr(A, vector(80, seed=i), m=20, k=8, recycle=space) for i in (1, 2))
    assert second.applications == second.iterations + 2  # the check of the images, and the final residual
    assert space.applications == 1
    assert second.iterations < first.iterations
    A *= 2  # the same object, another operator
    third = gcrodr(A, vector(80, seed=3), m=20, k=8, recycle=space)
    assert third.converged
    assert third.applications == third.iterations + 1 + 8 + 1


def test_a_solve_of_few_steps_leaves_them():
    A, b, space = general(), vector(), RecycleSpace()
    first = gcrodr(A, b, rtol=1e-2, recycle=space)
    assert space.dimension == first.iterations < 20
    again = gcrodr(A, b, rtol=1e-2, recycle=space)
    assert again.iterations == 0
    assert again.converged


@pytest.mark.parametrize("kind", KINDS)
def test_rank_deficient_spaces(kind):
    A, b = definite(kind=kind, condition=1e3), vector(kind=kind)
    rows = np.stack([vector(kind=kind, seed=i) for i in (1, 2, 1, 3, 2)])
    rows[4] += rows[3]
    rows = np.concatenate([rows, 0 * rows[:1]])
    solve = gcrodr(A, b, recycle=RecycleSpace(torch.from_numpy(rows)))
    assert solve.converged
    assert "3 singular recycled directions were dropped" in solve.reason
    np.testing.assert_allclose(solve.x, np.linalg.solve(A, b), atol=1e-5)


def test_null_vectors_are_dropped():
    Q = unitary(30)
    A = (Q * np.concatenate([np.zeros(2), np.geomspace(1, 50, 28)])) @ Q.T
    solve = gcrodr(A, A @ vector(30), m=12, k=6, recycle=RecycleSpace(torch.from_numpy(Q[:, :4].T.copy())))
    assert solve.converged
    assert "2 singular" in solve.reason


def test_singular_directions_are_not_harvested():
    """The Krylov space of an inconsistent system comes to hold a null vector, whose image is round-off."""
    Q = unitary(30)
    A = (Q * np.concatenate([np.zeros(1), np.linspace(1, 2, 9), np.full(20, 3.0)])) @ Q.T
    system, engine, _ = engine_with(A, np.eye(30), vector(30), np.empty((0, 30)), 14)
    engine.cycle(torch.zeros_like(system.b), system.b, system.size)
    harvest(engine, 4, last=True)
    assert engine.k == 3
    assert_invariants(A, np.eye(30), engine)


def test_a_space_that_holds_the_solution_takes_no_step():
    A, b = general(), vector()
    x = np.linalg.solve(A, b)
    solve = gcrodr(A, b, recycle=RecycleSpace(torch.from_numpy(np.stack([vector(seed=5), x]))))
    assert solve.converged
    assert (solve.iterations, solve.applications) == (0, 3)


@pytest.mark.parametrize("k", [1, 2, 11])
@pytest.mark.parametrize("n", [3, 8, 40])
def test_extreme_sizes(n, k):
    """k = 1, one new vector a cycle, and fewer unknowns than m."""
    space = RecycleSpace()
    for i in range(3):
        A, b = general(n, seed=0) + 0.01 * i * np.eye(n), vector(n, seed=i)
        solve = gcrodr(A, b, m=12, k=k, recycle=space)
        assert solve.converged
        assert space.dimension <= min(k, n - 1)
        np.testing.assert_allclose(A @ solve.x, b, atol=1e-6)


def test_single_precision():
    space = RecycleSpace()
    for i in range(3):
        A, b = torch.from_numpy(definite(60, condition=1e3)).float(), torch.from_numpy(vector(60, seed=i)).float()
        solve = gcrodr(A + 0.01 * i * torch.eye(60), b, m=20, k=8, rtol=1e-4, recycle=space)
        assert solve.converged
        assert solve.x.dtype == space.U.dtype == torch.float32


def test_inner_product_of_the_recycled_space():
    """C is orthonormal, and the residual least, in the inner product that was given."""
    weights = np.linspace(1, 4, 60)
    A, space = definite(60, condition=1e3) / weights[:, None], RecycleSpace()
    counts = []
    for i in range(3):
        b = vector(60, seed=i)
        solve = gcrodr(
            A + 1e-3 * i * np.eye(60), b, m=20, k=8, recycle=space, inner=lambda u, v: (weights * u.conj()) @ v
        )
        assert solve.converged
        counts.append(solve.iterations)
    C = (
        space._images.numpy()
        / np.sqrt(np.einsum("ij,ij->i", weights * space._images.numpy(), space._images.numpy()))[:, None]
    )
    np.testing.assert_allclose((weights * C) @ C.T, np.eye(8), atol=1e-10)
    assert counts[2] < counts[0]


def test_a_failed_solve_leaves_the_space_alone():
    A, space = definite(condition=1e3), RecycleSpace()
    gcrodr(A, vector(), m=12, k=5, recycle=space)
    before = space.U.clone()
    calls = []

    def operator(v):
        calls.append(1)
        return A @ v if len(calls) < 9 else np.nan * v

    assert not gcrodr(operator, vector(seed=2), m=12, k=5, recycle=space).converged
    assert space.U.isfinite().all()
    assert space.dimension == len(before)


def test_save_load_reset(tmp_path):
    space = RecycleSpace()
    with pytest.raises(InputError, match="empty"):
        space.save(tmp_path / "space.npy")
    gcrodr(definite(condition=1e3), vector(), m=12, k=5, recycle=space)
    space.save(tmp_path / "space.npy")
    again = RecycleSpace.load(tmp_path / "space.npy")
    assert torch.equal(again.U, space.U)
    b = vector(seed=2)
    same = [gcrodr(definite(condition=2e3), b, m=12, k=5, recycle=s).x for s in (space, again)]
    assert (same[0] == same[1]).all()
    space.reset()
    assert (space.dimension, space.systems, space.applications) == (0, 0, 0)


def test_spaces_of_other_systems_are_refused():
    space = RecycleSpace(torch.ones(2, 10, dtype=torch.float64))
    with pytest.raises(InputError, match="reset"):
        gcrodr(definite(), vector(), recycle=space)
    space = RecycleSpace(torch.ones(2, 40, dtype=torch.complex128))
    with pytest.raises(InputError, match="reset"):
        gcrodr(definite(), vector(), recycle=space)


@pytest.mark.parametrize(("m", "k"), [(5, 5), (5, 7), (5, -1)])
def test_bad_sizes(m, k):
    with pytest.raises(InputError, match="0 <= k < m"):
        gcrodr(np.eye(8), np.ones(8), m=m, k=k)
