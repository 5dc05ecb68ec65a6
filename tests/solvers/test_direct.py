"""Direct solution of batches."""

import pytest
import torch

from pdeops.grid import Grid
from pdeops.solvers import direct, factors
from pdeops.solvers.direct import Direct
from pdeops.solvers.faces import conductances
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes
from tests.solvers.cases import assert_solves, box, make

KINDS = ("definite", "constant", "insulated", "torus", "indefinite", "unsymmetric", "absorbing")


@pytest.mark.parametrize("kind", KINDS)
def test_solutions_are_those_of_dense_matrices(kind):
    solves = assert_solves(Direct(1e-12), make(kind), rtol=1e-10)
    assert set(solves.reasons) == {"solved directly"}
    assert solves.iterations.tolist() == [0] * 4


def test_three_dimensions():
    assert_solves(Direct(1e-12), make("definite", grid=box((6, 7, 5))), rtol=1e-10)


def test_batches_are_cut_without_a_trace(monkeypatch):
    systems = make("definite", batch=5)
    whole = Direct().solve(systems)
    monkeypatch.setattr(direct, "AT_ONCE", 2)
    assert torch.equal(assert_solves(Direct(), systems).x, whole.x)


def test_one_matrix_is_factored_once(monkeypatch):
    made, build = [], factors.Factors
    monkeypatch.setattr(factors, "Factors", lambda *a: made.append(a) or build(*a))
    monkeypatch.setattr(factors, "solve", lambda *_a, **_k: pytest.fail("factored one by one"))
    assert_solves(Direct(), make("constant", batch=7))
    assert len(made) == 1
    monkeypatch.undo()
    monkeypatch.setattr(factors, "Factors", lambda *_: pytest.fail("they differ"))
    assert_solves(Direct(), make("definite"))
    assert_solves(Direct(), make("constant", batch=1))


def test_a_singular_system_shows_in_its_residual():
    """Insulated, and nobody said so; the others are not harmed."""
    s = make("insulated")
    operator = FiniteVolumes(
        s.operator.grid, s.operator.forward, s.operator.forward, torch.ones(4, *s.operator.shape, dtype=torch.float64)
    )
    operator.reaction[1] = 0
    b = s.b.clone()
    b[1] += 1
    solves = Direct().solve(Systems(operator, b, definite=True))
    assert (solves.residual <= 1e-8).tolist() == [True, False, True, True]
    assert solves.reasons[1] == "singular or ill-conditioned"


def test_the_solution_of_a_singular_system_has_no_mean():
    grid = Grid.periodic((5, 6))
    k = conductances(torch.ones(2, 5, 6, dtype=torch.float64), grid)
    b = torch.randn(2, 5, 6, dtype=torch.float64)
    b -= b.mean((-2, -1), keepdim=True)
    solves = assert_solves(Direct(), Systems(FiniteVolumes(grid, k, k), b, definite=True, singular=True))
    assert solves.x.mean((-2, -1)).abs().max() < 1e-14


def test_of_a_singular_system_one_unknown_is_held(monkeypatch):
    sizes, solve = [], factors.solve
    monkeypatch.setattr(factors, "solve", lambda pattern, *a, **k: sizes.append(pattern.n) or solve(pattern, *a, **k))
    for kind in ("insulated", "definite"):
        Direct().solve(make(kind))
    assert sizes == [make("insulated").operator.size - 1, make("definite").operator.size]
