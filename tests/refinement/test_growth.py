"""What errors grow by on their way."""

import pytest

from pdeops.refinement.growth import growth_of
from pdeops.refinement.mild import Mild
from pdeops.refinement.refine import refine
from tests.problems.test_contract import PROBLEMS
from tests.refinement.cases import KNOWN, relative, solved, wrong


def on_the_way(problem, a, v):
    """||E||, what errors grow by, and the products that this took, of one sample."""
    mild = Mild(problem, a, problem.grid, KNOWN)
    c = mild.coefficients(v)
    growth, products = growth_of(mild, c)
    return float(mild.relative(mild(c), c)), growth, products


def test_of_a_linear_equation_nothing_grows():
    problem, a, u = solved("advection1d", samples=1)
    _, growth, products = on_the_way(problem, a, wrong(problem, u, 0.1, "oscillating"))
    assert growth == pytest.approx(1, abs=1e-9)
    assert products <= 3


@pytest.mark.parametrize("kind", ["growing", "oscillating"])
@pytest.mark.parametrize("name", sorted(set(PROBLEMS) - {"ns2d_velocity"}))
def test_it_makes_of_the_residual_the_error(name, kind):
    """Of small errors, to which it is linear. (Those of velocities would have a divergence.)"""
    problem, a, u = solved(name, samples=1)
    v = wrong(problem, u, 1e-4, kind)
    size, growth, _ = on_the_way(problem, a, v)
    assert size * growth == pytest.approx(float(relative(v, u).amax()), rel=0.35)


def test_fields_that_are_not_finite_grow_without_bound():
    problem, a, u = solved("burgers1d", samples=1)
    v = u.clone()
    v[0, :, 5, 3] = float("nan")
    assert on_the_way(problem, a, v)[1:] == (float("inf"), 0)


@pytest.mark.parametrize(("method", "tol"), [("auto", 0.3), ("newton", 0.3), ("finetune", 0.1)])
def test_errors_that_grow_are_not_certified_away(method, tol):
    """Spots that divide, frozen: E sees a third of the error, and a fifteenth when it was made small."""
    problem, a, u = solved("gray_scott", samples=1, frames=8, horizon=160.0)
    v = wrong(problem, u, 0.1, "frozen")
    assert float(relative(v, u)) > 0.4
    found = refine(problem, a, v, problem.grid, KNOWN, tol=tol, method=method)
    assert float(found.estimate.bound) > 0.7 * float(relative(found.u, u))
    assert found.converged.all() == (method != "finetune")
    assert float(relative(found.u, u)) <= tol or not found.converged.all()
