"""Batches of systems: what a residual, a solvable right-hand side and a mean-free solution are."""

import pytest
import torch

from pdeops.solvers.auto import Auto
from pdeops.solvers.direct import Direct
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import volumes
from tests.solvers.cases import dense, make


def test_some_of_a_batch():
    systems = make("unsymmetric")
    some = systems[[2, 0]]
    assert len(some) == 2
    assert torch.equal(some.b, systems.b[[2, 0]])
    assert (some.operator.matrix(0) != systems.operator.matrix(2)).nnz == 0
    assert (some.definite, some.singular) == (False, False)
    assert make("insulated")[1:3].singular


def test_residuals_are_relative_and_true():
    systems = make("definite")
    x = dense(systems)
    assert systems.residual(x).max() < 1e-13
    torch.testing.assert_close(systems.residual(1.01 * x), torch.full((4,), 0.01, dtype=torch.float64))
    b = systems.b.clone()
    b[1] = 0
    x[2, 0, 0] = torch.nan
    x[1] = 0.0
    mixed = Systems(systems.operator, b, definite=True)
    residual = mixed.residual(x)
    assert residual[0] < 1e-13
    assert residual[1] == 0
    assert residual[2] == torch.inf
    x[1, 0, 0] = 2.0  # relative to nothing: as it is
    assert float(mixed.residual(x)[1]) == pytest.approx(
        2 * float(torch.tensor(systems.operator.matrix(1)[:, [0]].toarray()).norm())
    )


def test_singular_systems_are_freed_of_means():
    systems = make("insulated")
    weights = volumes(systems.operator.grid)
    with_mean = Systems(systems.operator, systems.b + 3, definite=True, singular=True)
    torch.testing.assert_close(with_mean.solvable(), systems.b)
    x = systems.centred(torch.randn(4, *systems.b.shape[1:], dtype=torch.float64) + 5)
    assert (x * weights).sum((-2, -1)).abs().max() < 1e-12
    regular = make("definite")
    assert torch.equal(regular.solvable(), regular.b)
    assert torch.equal(regular.centred(regular.b + 1), regular.b + 1)
    # single precision is solved in double
    single = Systems(regular.operator, regular.b.float(), definite=True)
    assert single.solvable().dtype == torch.float64


@pytest.mark.parametrize("solver", [Direct(), Auto()])
def test_what_has_no_solution_shows_in_the_residual(solver):
    systems = make("insulated")
    solves = solver.solve(Systems(systems.operator, systems.b + 0.1, definite=True, singular=True))
    torch.testing.assert_close(solves.x, dense(systems), rtol=1e-6, atol=1e-8)
    assert (solves.residual > 0.05).all()


def test_by_default_there_is_nothing_to_choose():
    solver = Direct()
    assert solver.settled(make("definite")) == (solver, "")
    assert not solver.sorts
