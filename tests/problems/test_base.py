"""What solutions carry: residuals, errors, costs and progress."""

import pytest
import torch
from scipy import sparse

from pdeops.grid import Axis, Grid
from pdeops.norms import Sobolev
from pdeops.problems import base
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.evolution import Evolution
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper


def test_solution_fields_are_what_they_say():
    p = NavierStokes2D(n=16, horizon=1.0, frames=10, length=2.0, solver=Stepper(dt=0.05))
    a = p.sample([0], 0)
    s = p.solve(a)
    assert float(p.grid[0].points()[-1]) == 1.0
    torch.testing.assert_close(s.residual, Sobolev(p.grid, -1)(p.residual(a, s.u, p.grid))[:, 0], rtol=1e-6, atol=0)
    for factor, ok in ((0.5, False), (2.0, True)):
        q = NavierStokes2D(
            n=16, horizon=1.0, frames=10, length=2.0, solver=Stepper(dt=0.05, tolerance=factor * float(s.error))
        )
        assert bool(q.solve(a).converged) is ok
    seen = []
    p.solve(a, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


class Two(Evolution):
    name, dimensions, in_names, out_names, parameters = "two", 1, ("a", "b"), ("a", "b"), {}

    def __init__(self):
        super().__init__(n=8, length=1.0, horizon=1.0, frames=2, solver=Stepper(dt=0.1, tolerance=1e-4))

    def sample(self, i, seed):
        return torch.ones(len(i), 2, 8, dtype=torch.float64)

    def linear(self, basis):
        return torch.tensor([[0.0], [-3.0]], dtype=torch.float64)

    def nonlinear(self, basis):
        return torch.zeros_like


def test_the_worst_channel_counts():
    p = Two()
    s = p.solve(p.sample([0], 0))
    assert float(s.error) > 1e-4
    assert float(s.residual) > 1e-3


class Scaled(Elliptic):
    name, in_names, out_names, parameters = "s", ("a",), ("u",), {}
    grid = Grid((Axis("x", 4, nodes="cell"),))

    def sample(self, i, seed):
        return torch.full((len(i), 1, 4), 100.0, dtype=torch.float64)

    def system(self, a):
        return sparse.eye_array(4, format="csr") * 2, a[0].numpy()


def test_elliptic_residual_sign_and_relative_size(monkeypatch):

    p = Scaled()
    a = p.sample([0], 0)
    torch.testing.assert_close(p.residual(a, torch.zeros_like(a), p.grid), a)  # b - A 0 = b
    monkeypatch.setattr(base, "spsolve", lambda m, b: b / 2 * 1.01)
    s = p.solve(a)
    assert float(s.residual) == pytest.approx(0.01)
    assert not s.converged.any()


def test_cost_of_both_solutions(monkeypatch):
    monkeypatch.setattr(Stepper, "seconds", lambda *a: 2.0)
    p = NavierStokes2D(n=8)
    assert p.cost(p.sample([0], 0)) == 3.0
