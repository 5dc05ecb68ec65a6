"""Preconditioners: good inverses, as symmetric and as exact as they say."""

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.solvers.krylov import cg, gmres
from pdeops.solvers.poisson import FastPoisson
from pdeops.solvers.preconditioners import ILU, SOR, Cycle, Jacobi, Poisson
from pdeops.solvers.sequences import CG, GCRODR, GMRES
from tests.solvers.cases import assert_solves, make

KINDS = ("definite", "insulated", "torus", "indefinite", "unsymmetric", "absorbing")
FOR = {
    Jacobi(): KINDS,
    SOR(): ("definite", "insulated", "torus", "unsymmetric"),
    SOR(omega=1.4): ("definite", "unsymmetric"),
    ILU(): ("definite", "torus", "indefinite", "unsymmetric", "absorbing"),
    Cycle(): ("definite", "insulated"),
    Poisson(): ("definite", "insulated", "torus", "indefinite", "unsymmetric", "absorbing"),
}
PAIRS = [(p, kind) for p, kinds in FOR.items() for kind in kinds]


@pytest.mark.parametrize(("preconditioner", "kind"), PAIRS, ids=str)
def test_fewer_steps_than_without(preconditioner, kind):
    systems = make(kind, n=17, batch=1, size=2.0 if isinstance(preconditioner, Jacobi) else 0.4, k0=6.0)
    operator, b = systems.operator, systems.b[0].flatten().numpy()
    without, with_ = (gmres(operator.matrix(), b, M=M, rtol=1e-8, m=400) for M in (None, preconditioner.of(operator)))
    assert without.converged
    assert with_.converged
    if isinstance(preconditioner, Jacobi):  # constant diagonals but for the sides: no worse
        assert with_.iterations <= without.iterations + (kind != "definite") * 4
    else:
        assert with_.iterations < 0.75 * without.iterations


@pytest.mark.parametrize(("preconditioner", "kind"), PAIRS, ids=str)
def test_solutions_stay_what_they_are(preconditioner, kind):
    assert_solves(GMRES(1e-9, preconditioner), make(kind, k0=6.0))
    assert_solves(GCRODR(1e-9, preconditioner, recycle=True), make(kind, k0=6.0))
    if kind in KINDS[:3] and not isinstance(preconditioner, ILU):
        assert_solves(CG(1e-9, preconditioner), make(kind))


def as_matrix(preconditioner, systems):
    M, n = preconditioner.of(systems.operator), systems.operator.size
    return np.stack([M(e) for e in np.eye(n)], axis=1)


@pytest.mark.parametrize("preconditioner", [Jacobi(), SOR(), SOR(omega=1.6), Cycle(), Poisson()], ids=str)
@pytest.mark.parametrize("kind", ["definite", "insulated"])
def test_symmetric_and_positive_definite(preconditioner, kind):
    M = as_matrix(preconditioner, make(kind, batch=1))
    np.testing.assert_allclose(M, M.T, atol=(1e-5 if isinstance(preconditioner, Cycle) else 1e-12) * abs(M).max())
    values = np.linalg.eigvalsh((M + M.T) / 2)
    if kind == "definite" or not isinstance(preconditioner, Cycle):
        assert values[0] > 0
    else:
        assert values[1] > 0


def test_jacobi_and_sor_are_their_formulas():
    systems, omega = make("unsymmetric", batch=1), 1.3
    A = systems.operator.matrix().toarray()
    D = np.diag(A.diagonal())
    np.testing.assert_allclose(as_matrix(Jacobi(), systems), np.linalg.inv(D))
    L, U = D + omega * np.tril(A, -1), D + omega * np.triu(A, 1)
    formula = omega * (2 - omega) * np.linalg.inv(U) @ D @ np.linalg.inv(L)
    np.testing.assert_allclose(as_matrix(SOR(omega), systems), formula, atol=1e-12)
    for bad in (0.0, 2.0, -1.0):
        with pytest.raises(InputError, match=f"omega={bad}: wanted 0 < omega < 2"):
            SOR(omega=bad)


def test_complete_factors_are_an_inverse():
    systems = make("unsymmetric", batch=1)
    A = systems.operator.matrix().toarray()
    np.testing.assert_allclose(as_matrix(ILU(drop_tolerance=0.0, fill=100.0), systems) @ A, np.eye(len(A)), atol=1e-10)
    for incomplete in (ILU(drop_tolerance=0.3, fill=100.0), ILU(drop_tolerance=0.0, fill=1.0)):
        loose = as_matrix(incomplete, systems) @ A
        assert 1e-3 < abs(loose - np.eye(len(A))).max() < 1


LONG = Grid((Axis("x", 240, nodes="uniform", bc="dirichlet"), Axis("y", 4, 0.05, nodes="cell", bc="neumann")))


def test_poisson_is_exact_for_constant_coefficients():
    """On fine lattices, too: their least eigenvalue is a small part of their largest."""
    for systems in (make("constant", batch=1), make("constant", batch=1, grid=LONG)):
        b = systems.b[0].flatten().numpy()
        x = Poisson().of(systems.operator)(b)
        np.testing.assert_allclose(systems.operator.matrix() @ x, b, atol=1e-9 * abs(b).max())


def test_poisson_is_exact_for_constant_waves():
    systems = make("indefinite", batch=1, size=0.0, k0=6.0)
    b = systems.b[0].flatten().numpy()
    x = Poisson().of(systems.operator)(b)
    np.testing.assert_allclose(systems.operator.matrix() @ x, b, atol=1e-10 * abs(b).max())
    # a wave number at an eigenvalue is moved off it
    lattice = 2 * 4 * 64 * np.sin(np.pi / 16) ** 2
    grid = Grid(Axis(c, 9, nodes="uniform", bc="dirichlet") for c in "xy")
    near = make("indefinite", batch=1, size=0.0, k0=float(np.sqrt(lattice)), grid=grid)
    assert np.linalg.norm(Poisson().of(near.operator)(np.ones(49))) < 49


def test_a_cycle_is_for_symmetric_operators_on_boxes():
    for kind in ("torus", "unsymmetric", "absorbing"):
        with pytest.raises(InputError, match="a multigrid cycle is for real symmetric operators on boxes"):
            Cycle().of(make(kind).operator)


def test_a_cycle_keeps_small_residuals():
    systems = make("definite", batch=1)
    M, r = Cycle().of(systems.operator), np.random.default_rng(0).standard_normal(systems.operator.size)
    np.testing.assert_allclose(1e50 * M(1e-50 * r), M(r), rtol=1e-5, atol=1e-9)
    assert not M(0 * r).any()
    assert M(r).dtype == np.float64
    solve = cg(systems.operator.matrix(), r, M=M, rtol=1e-12)
    assert solve.converged
    assert solve.iterations < 20
    assert torch.isfinite(torch.from_numpy(solve.x)).all()


def test_poisson_follows_the_coefficients():
    """A multiplicative change of variables: of coefficients that vary by decades the plain solver sees a mean alone."""
    systems = make("definite", n=33, batch=1, size=1.2)
    operator, b = systems.operator, systems.b[0].flatten().numpy()
    plain = FastPoisson(operator.grid)
    scaled, unscaled = (
        gmres(operator.matrix(), b, M=M, rtol=1e-8, m=400).iterations
        for M in (Poisson().of(operator), lambda r: plain(torch.from_numpy(r).view(operator.shape)).flatten().numpy())
    )
    assert scaled < 0.6 * unscaled
