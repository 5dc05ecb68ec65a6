"""Krylov methods on batches: against dense solutions, with their counts, and with what they are not for."""

import re
from dataclasses import replace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.solvers import krylov
from pdeops.solvers.preconditioners import ILU, Jacobi
from pdeops.solvers.sequences import CG, GCRODR, GMRES, MINRES, RMINRES, BiCGStab
from pdeops.solvers.systems import Systems
from tests.solvers.cases import assert_solves, make

ALL = ("definite", "insulated", "torus", "indefinite", "unsymmetric", "absorbing")
FOR = {
    CG(1e-9): ALL[:3],
    MINRES(1e-9): ALL[:4],
    BiCGStab(1e-9): ALL,
    GMRES(1e-9): ALL,
    GMRES(1e-9, m=20, preconditioner=Jacobi()): ALL,
    GCRODR(1e-9, recycle=False): ALL,
    GCRODR(1e-9, m=20, k=8, recycle=True): ALL,
}


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "solver", FOR, ids=lambda s: f"{type(s).__name__}-{s.preconditioner}-{getattr(s, 'recycle', '')}"
)
def test_solutions_are_those_of_dense_matrices(solver, kind):
    systems = make(kind)
    if kind not in FOR[solver]:
        with pytest.raises(InputError, match=r"are for symmetric positive|is for real symmetric.*Take the solver auto"):
            solver.solve(systems)
        return
    solves = assert_solves(solver, systems)
    assert all(reason.startswith("converged") for reason in solves.reasons)
    assert (solves.iterations > 0).all()


def test_definite_is_what_the_problem_says():
    s = make("definite")
    with pytest.raises(InputError, match="conjugate gradients are for symmetric positive definite systems"):
        CG().solve(Systems(s.operator, s.b, definite=False))


@pytest.mark.parametrize("solver", FOR, ids=lambda s: type(s).__name__)
def test_every_product_is_counted(solver, monkeypatch):
    """By counting the products of the matrices themselves."""
    from scipy.sparse import csr_array

    systems, made = make("definite", batch=2), []
    monkeypatch.setattr(type(systems.operator), "matrix", counting(made, type(systems.operator).matrix))
    solves = solver.solve(systems)
    assert len(made) == 2
    assert all(isinstance(c.matrix, csr_array) for c in made)
    assert solves.applications.tolist() == [c.products for c in made]


class Counting:
    """A matrix as an operator that counts."""

    def __init__(self, matrix):
        from scipy.sparse.linalg import LinearOperator

        self.matrix, self.products = matrix, 0
        self.operator = LinearOperator(matrix.shape, matvec=self.product, matmat=self.several, dtype=matrix.dtype)

    def product(self, x):
        self.products += 1
        return self.matrix @ x

    def several(self, x):
        self.products += x.shape[1]
        return self.matrix @ x


def counting(made, matrix):
    def wrapped(self, i=0):
        made.append(Counting(matrix(self, i)))
        return made[-1].operator

    return wrapped


def test_limits_come_back_as_reasons():
    for solver in FOR:
        solves = replace(solver, maxiter=3).solve(make("definite"))
        assert (solves.residual > 1e-9).all()
        assert (solves.iterations <= 4).all()
        assert all("converged" not in reason for reason in solves.reasons)


def test_a_vanishing_right_hand_side():
    systems = make("definite")
    systems.b[1] = 0
    for solver in FOR:
        solves = solver.solve(systems)
        assert not solves.x[1].any()
        assert float(solves.residual[1]) == 0


def test_bad_arguments_are_named():
    for cls in (CG, MINRES, BiCGStab, GMRES, GCRODR, RMINRES):
        with pytest.raises(InputError, match="maxiter=0: wanted at least 1"):
            cls(maxiter=0)
    with pytest.raises(InputError, match=r"problem\.solver\.m=20, problem\.solver\.k=20: wanted 0 <= k < m"):
        GCRODR(m=20, k=20)
    with pytest.raises(InputError, match=r"problem\.solver\.recycle='yes': wanted auto, true or false"):
        GCRODR(recycle="yes")


def test_solutions_meet_the_tolerance_as_it_is_checked(monkeypatch):
    """Methods stop a little below it: another order of summation may find the residual a little larger."""
    asked, gmres = [], krylov.gmres
    monkeypatch.setattr(krylov, "gmres", lambda *a, rtol, **k: asked.append(rtol) or gmres(*a, rtol=rtol, **k))
    GMRES(1e-6).solve(make("definite", batch=1))
    assert 0.9e-6 < asked[0] < 1e-6


def similar(batch=8):
    """Waves in media that are nearly alike."""
    return make("indefinite", n=24, batch=batch, size=0.05, k0=12.0)


def test_recycling_saves_products_and_starts_cold():
    systems = similar()
    warm, cold = (GCRODR(1e-8, recycle=r).solve(systems) for r in (True, False))
    assert warm.applications[1:].sum() < 0.8 * cold.applications[1:].sum()
    assert warm.applications[0] == cold.applications[0]
    torch.testing.assert_close(warm.x, cold.x, rtol=1e-5, atol=1e-7 * float(cold.x.abs().max()))
    again = GCRODR(1e-8, recycle=True).solve(systems)  # nothing is left from the first time
    assert torch.equal(again.x, warm.x)


def test_recycling_is_decided_by_counts():
    for solver, systems, pays in (
        (GCRODR(), similar(), True),
        (GCRODR(preconditioner=ILU(drop_tolerance=1e-4, fill=10.0)), make("definite", n=24, batch=6), False),
    ):
        settled, reason = solver.settled(systems)
        counts = [int(replace(solver, recycle=r).solve(systems).applications[1:].sum()) for r in (True, False)]
        assert (counts[0] < counts[1]) == pays
        assert settled == replace(solver, recycle=pays)
        on = "on" if pays else "off"
        assert reason == (
            f"recycling is {on}: {len(systems) - 1} neighbouring pilot samples took {counts[0]} products with the "
            f"operator with it and took {counts[1]} products with the operator without it"
        )
        assert settled.settled(systems) == (settled, "")
        assert settled.sorts == pays


def test_recycling_is_decided_for_the_one_that_ends(monkeypatch):
    """What misses the tolerance does not count as cheap."""
    systems, begin = similar(4), GCRODR.begin

    def gives_up(self):
        solver = self if self.recycle else replace(self, maxiter=5)
        return begin(solver)

    monkeypatch.setattr(GCRODR, "begin", gives_up)
    settled, reason = GCRODR().settled(systems)
    assert settled.recycle is True
    assert re.search(r"took \d+ products with the operator with it and did not converge without it", reason)


def test_sorting_is_for_recycling():
    assert GCRODR().sorts
    assert GCRODR(recycle=True).sorts
    assert not GCRODR(recycle=False).sorts
    assert not GCRODR(recycle=True, sort=False).sorts
    assert not GMRES().sorts


def test_single_precision_systems_are_solved_in_double():
    s = make("definite", batch=2)
    single = Systems(s.operator, s.b.float(), definite=True)
    solves = CG(1e-10).solve(single)
    assert solves.x.dtype == torch.float64
    assert solves.x.isfinite().all()
