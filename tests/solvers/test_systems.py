"""Batches of systems: what a residual, a solvable right-hand side and a mean-free solution are."""

from dataclasses import replace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.solvers.auto import Auto
from pdeops.solvers.direct import Direct
from pdeops.solvers.multigrid import Multigrid
from pdeops.solvers.sequences import CG, GCRODR, GMRES, MINRES, RMINRES, BiCGStab
from pdeops.solvers.systems import Systems
from pdeops.solvers.transforms import Transforms
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


@pytest.mark.parametrize("solver", [Direct(), Multigrid(), CG(), MINRES(), GMRES(), GCRODR(recycle=False), Auto()])
@pytest.mark.parametrize("size", [1e-200, 1e-30, 1e200])
def test_solutions_scale_with_their_right_hand_sides(solver, size):
    systems = make("definite")
    b = systems.b * torch.tensor([1.0, size, 0.0, size], dtype=torch.float64).view(-1, 1, 1)
    solves = solver.solve(replace(systems, b=b))
    plain = solver.solve(systems)
    for i, factor in enumerate((1.0, size, 0.0, size)):
        torch.testing.assert_close(solves.x[i], plain.x[i] * factor, rtol=1e-6, atol=0.0)
    assert (solves.residual <= solver.tolerance).all()


@pytest.mark.parametrize("solver", [Multigrid(), Direct()])
@pytest.mark.parametrize("size", [1e-30, 1e-12, 1e15, 1e25])
def test_operators_of_any_size(solver, size):
    systems = make("definite")
    scale = torch.tensor([1.0, size, 1.0, size], dtype=torch.float64)
    solves = solver.solve(replace(systems, operator=systems.operator.scaled(scale)))
    plain = solver.solve(systems)
    torch.testing.assert_close(solves.x * scale.view(-1, 1, 1), plain.x, rtol=1e-6, atol=1e-12)
    if isinstance(solver, Multigrid):
        assert (solves.iterations - plain.iterations).abs().max() <= 1


@pytest.mark.parametrize("solver", [Direct(), Multigrid()])
def test_a_sample_that_is_not_finite_spoils_itself_alone(solver):
    systems = make("definite")
    b = systems.b.clone()
    b[1, 0, 0] = torch.nan
    solves = solver.solve(replace(systems, b=b))
    assert solves.residual[1] == torch.inf
    others = [0, 2, 3]
    assert (solves.residual[others] <= solver.tolerance).all()
    assert torch.equal(solver.solve(systems).x[others], solves.x[others])


@pytest.mark.parametrize("cls", [Auto, Multigrid, Direct, Transforms, CG, MINRES, BiCGStab, GMRES, GCRODR, RMINRES])
@pytest.mark.parametrize("tolerance", [0.0, -1.0, 1.0, float("nan")])
def test_tolerances_that_make_no_sense(cls, tolerance):
    with pytest.raises(InputError, match="wanted 0 < tolerance < 1"):
        cls(tolerance)
