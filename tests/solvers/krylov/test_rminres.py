"""Recycling MINRES: the invariants of GCRO-DR in the inner product of M, and its counts at short recurrences."""

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.problems.darcy import Darcy
from pdeops.solvers.krylov import RecycleSpace, gcrodr, minres, rminres
from pdeops.solvers.krylov.rminres import Lanczos, harmonic_ritz
from pdeops.solvers.sequences import GCRODR, RMINRES
from tests.solvers.krylov.systems import (
    Counting,
    definite,
    general,
    indefinite,
    laplacian,
    unitary,
    vector,
    with_eigenvalues,
)
from tests.solvers.krylov.test_gmres import system_of

KINDS = [float, complex]


def engine_with(A, M, b, U, m, k):
    system = system_of(A, b, M=M, rtol=1e-14)
    engine = Lanczos(system, m, k)
    U = torch.from_numpy(U)
    return system, engine, engine.adopt(U, system.products(U))


def assert_invariants(A, M, engine):
    """A M U = C, C^H M C = I."""
    k = len(engine.U)
    U, C, MC = engine.U.numpy().T, engine.W[:k].numpy().T, engine.MW[:k].numpy().T
    np.testing.assert_allclose(A @ M @ U, C, atol=1e-10)
    np.testing.assert_allclose(MC, M @ C, atol=1e-10)
    np.testing.assert_allclose(C.conj().T @ M @ C, np.eye(k), atol=1e-11)
    return MC


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_invariants_of_every_cycle(kind, preconditioned):
    A, b = indefinite(60, kind), vector(60, kind)
    M = definite(60, kind, condition=9, seed=4) if preconditioned else np.eye(60)
    start = np.stack([vector(60, kind, seed=i) for i in range(10, 14)])
    system, engine, dropped = engine_with(A, M if preconditioned else None, b, start, 13, 6)
    assert (dropped, len(engine.U)) == (0, 4)
    assert_invariants(A, M, engine)
    span = np.linalg.lstsq(engine.U.numpy().T, start.T, rcond=None)[0]
    np.testing.assert_allclose(engine.U.numpy().T @ span, start.T, atol=1e-10)  # still the same space
    t, r = engine.project(torch.zeros_like(system.b), system.b)
    norms = []
    for k in (6, 6, 6):
        old, count = engine.U.numpy().T, len(engine.U)
        t, r, why = engine.cycle(t, r)
        assert why is None
        assert len(engine.U) == k
        MC = assert_invariants(A, M, engine)
        np.testing.assert_allclose(r.numpy(), b - A @ M @ t.numpy(), atol=1e-10)
        np.testing.assert_allclose(MC.conj().T @ r.numpy(), 0, atol=1e-10)
        norms.append(abs(np.vdot(r.numpy(), M @ r.numpy())))
        if count == k:  # of the space before and the vectors of this cycle, nothing from outside
            Z = np.concatenate([old, engine.W[k:13].numpy().T], axis=1)
            rest = engine.U.numpy().T - Z @ np.linalg.lstsq(Z, engine.U.numpy().T, rcond=None)[0]
            assert np.linalg.norm(rest) < 1e-9
    assert sorted(norms, reverse=True) == norms


@pytest.mark.parametrize("preconditioned", [False, True])
def test_without_a_space_it_is_minres(preconditioned):
    A, b = indefinite(), vector()
    M = definite(condition=9, seed=4) if preconditioned else None
    assert rminres(A, b, M=M).history == minres(A, b, M=M).history


@pytest.mark.parametrize("shift", [0.0, 0.05])
def test_an_empty_space_costs_no_steps(shift):
    """The last step's direction in the space makes cycles go on as if they were none."""
    A, b = laplacian(60, shift), np.ones(60)
    short, long = rminres(A, b, m=10, k=4, recycle=RecycleSpace()), minres(A, b)
    assert abs(short.iterations - long.iterations) <= (0 if shift == 0 else 5)
    np.testing.assert_allclose(short.history[:20], long.history[:20], rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_iterates_are_those_of_gcrodr(kind):
    A, b, U = indefinite(60, kind), vector(60, kind), np.stack([vector(60, kind, seed=i) for i in range(3)])
    solves = [
        method(A, b, m=14, k=6, rtol=1e-9, recycle=RecycleSpace(torch.from_numpy(U))) for method in (gcrodr, rminres)
    ]
    np.testing.assert_allclose(solves[1].history[:30], solves[0].history[:30], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_sequences(kind, preconditioned):
    """Slowly changing systems: the same solutions, honest counts, and fewer products."""
    n, space = 80, RecycleSpace()
    base = with_eigenvalues(np.concatenate([-np.geomspace(1e-3, 0.1, 5), np.linspace(1e-3, 3, n - 5)]), kind)
    change = 1e-4 * definite(n, kind, condition=10, seed=6)
    M = definite(n, kind, condition=2, seed=3) if preconditioned else None
    spent, cold = 0, 0
    for i in range(5):
        A, b = base + i * change, vector(n, kind, seed=20 + i)
        operator, MC = Counting(A), Counting(M) if preconditioned else None
        solve = rminres(operator, b, M=MC, m=40, k=12, rtol=1e-9, recycle=space)
        assert solve.converged
        assert np.linalg.norm(b - A @ solve.x) <= 1.01e-9 * np.linalg.norm(b)
        np.testing.assert_allclose(solve.x, np.linalg.solve(A, b), atol=1e-5)
        assert solve.applications == operator.calls == solve.iterations + (12 if i else 0) + 1
        assert solve.preconditionings == (MC.calls if preconditioned else 0)
        if i:
            spent += solve.applications
            cold += minres(A, b, M=M, rtol=1e-9).applications
    assert spent < 0.7 * cold
    assert (space.systems, space.dimension, space.applications) == (5, 12, 4 * 12)


def test_the_same_operator_keeps_its_images():
    A, space = definite(80, condition=1e4), RecycleSpace()
    first, second = (rminres(A, vector(80, seed=i), m=20, k=8, recycle=space) for i in (1, 2))
    assert second.applications == second.iterations + 2  # the check of the images, and the final residual
    assert second.iterations < first.iterations


def test_images_stay_orthonormal_where_lanczos_vectors_do_not():
    """Large eigenvalues far apart converge within a cycle, after which Lanczos vectors lose their orthogonality."""
    values = np.concatenate([np.geomspace(1, 100, 190), np.geomspace(1e3, 1e7, 10)])
    A, b = with_eigenvalues(values), vector(200)
    system, engine, _ = engine_with(A, None, b, np.empty((0, 200)), 60, 10)
    t, r, _ = engine.cycle(torch.zeros_like(system.b), system.b)
    W = engine.W[10:60].numpy()
    assert np.abs(W @ W.T - np.eye(50)).max() > 1e-3  # otherwise this tests nothing
    for _ in range(4):
        C = engine.W[: len(engine.U)].numpy()
        np.testing.assert_allclose(C @ C.T, np.eye(len(C)), atol=1e-10)
        np.testing.assert_allclose(C @ r.numpy(), 0, atol=1e-10 * np.linalg.norm(b))
        t, r, _ = engine.cycle(t, r)
    np.testing.assert_allclose(r.numpy(), b - A @ t.numpy(), atol=1e-7)
    assert rminres(A, b, rtol=1e-6, recycle=RecycleSpace()).converged


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_rank_deficient_spaces(kind, preconditioned):
    A, b = definite(kind=kind, condition=1e3), vector(kind=kind)
    M = definite(kind=kind, condition=9, seed=4) if preconditioned else None
    rows = np.stack([vector(kind=kind, seed=i) for i in (1, 2, 1, 3, 2)])
    rows[4] += rows[3]
    rows = np.concatenate([rows, 0 * rows[:1]])
    solve = rminres(A, b, M=M, recycle=RecycleSpace(torch.from_numpy(rows)))
    assert solve.converged
    assert "3 singular recycled directions were dropped" in solve.reason
    np.testing.assert_allclose(solve.x, np.linalg.solve(A, b), atol=1e-5)


def test_harmonic_ritz_leaves_singular_directions_out():
    Q = unitary(6)
    inner, images = (Q * [3, -2, 1, 0.5, 0, 0]) @ Q.T, (Q * [1, 1, 1, 1, 1e-3, 0]) @ Q.T
    z = harmonic_ritz(inner, images, 5)
    assert z.shape == (6, 5)
    np.testing.assert_allclose(z.T @ images @ z, np.eye(5), atol=1e-9)
    np.testing.assert_allclose(abs(Q.T @ z)[:3, :3], np.eye(3), atol=1e-9)


@pytest.mark.parametrize("n", [3, 8, 40])
def test_extreme_sizes(n):
    space = RecycleSpace()
    for i in range(3):
        A, b = definite(n) + 0.01 * i * np.eye(n), vector(n, seed=i)
        solve = rminres(A, b, m=12, k=1 + 2 * i, recycle=space)
        assert solve.converged
        np.testing.assert_allclose(A @ solve.x, b, atol=1e-6)


def test_single_precision():
    space = RecycleSpace()
    for i in range(3):
        A, b = torch.from_numpy(definite(60, condition=1e3)).float(), torch.from_numpy(vector(60, seed=i)).float()
        solve = rminres(A + 0.01 * i * torch.eye(60), b, m=20, k=8, rtol=1e-4, recycle=space)
        assert solve.converged
        assert solve.x.dtype == space.U.dtype == torch.float32


def test_what_is_not_definite():
    solve = rminres(definite(), vector(), M=-np.eye(40), recycle=RecycleSpace())
    assert not solve.converged
    assert "M is not positive definite" in solve.reason


@pytest.mark.parametrize(("m", "k"), [(5, 5), (5, 4), (5, 0)])
def test_bad_sizes(m, k):
    with pytest.raises(InputError, match="0 < k < m - 1"):
        rminres(np.eye(8), np.ones(8), m=m, k=k)


@pytest.mark.parametrize("method", [gcrodr, rminres])
@pytest.mark.parametrize("preconditioned", [False, True])
def test_the_solution_is_kept(method, preconditioned):
    """A system that is nearly the last one, with the same right-hand side, starts near its solution."""
    A, b, space = definite(80, condition=1e4), vector(80), RecycleSpace()
    M = definite(80, condition=3, seed=5) if preconditioned else None
    x = method(A, b, M=M, m=20, k=8, rtol=1e-9, recycle=space).x
    assert space.dimension == 8
    x = x if M is None else np.linalg.solve(M, x)
    U = space.U.numpy().T
    assert np.linalg.norm(x - U @ np.linalg.lstsq(U, x, rcond=None)[0]) < 1e-8 * np.linalg.norm(x)
    again = method(A + 1e-8 * np.eye(80), b, M=M, m=20, k=8, rtol=1e-4, recycle=space)
    assert again.iterations == 0
    assert again.converged
    method(A, general(80) @ b, x0=10 * vector(80, seed=9), M=M, m=20, k=8, recycle=space)  # no solution of A x = b
    images = A @ (space.U.numpy().T if M is None else M @ space.U.numpy().T)
    np.testing.assert_allclose(images, space._images.numpy().T, atol=1e-7)


@pytest.mark.parametrize("solver", [GCRODR, RMINRES])
def test_sequences_of_a_problem(solver):
    problem = Darcy(n=33, solver=solver(tolerance=1e-6))
    a = problem.sample(range(6), 0)
    systems = problem.systems(a.double(), problem.solved_on)
    counts = {}
    for recycle in (False, True):
        solves = solver(tolerance=1e-6, recycle=recycle).solve(systems)
        assert (solves.residual <= 1.01e-6).all()
        counts[recycle] = int(solves.applications[1:].sum())
    assert counts[True] < counts[False]
    settled, reason = solver(tolerance=1e-6).settled(systems)
    assert type(settled) is solver
    assert settled.recycle is True
    assert str(counts[True]) in reason
    assert str(counts[False]) in reason
