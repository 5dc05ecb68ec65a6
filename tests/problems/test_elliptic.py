"""The base class of steady problems, by a one-dimensional Poisson equation."""

import numpy as np
import pytest
import torch
from scipy import sparse

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems import elliptic
from pdeops.problems.elliptic import Elliptic


class Poisson(Elliptic):
    """-u'' = a, u = 0 at both ends, second-order differences at cell centres."""

    name, in_names, out_names = "poisson", ("source",), ("u",)

    def __init__(self, n):
        self.n = n

    @property
    def grid(self):
        return Grid((Axis("x", self.n, nodes="cell", bc="dirichlet"),))

    @property
    def parameters(self):
        return {}

    def sample(self, indices, seed):
        return torch.stack([torch.sin((i + 1) * torch.pi * self.grid.points()[..., 0])[None] for i in indices])

    def system(self, a):
        h = 1 / self.n
        main = np.full(self.n, 2.0)
        main[[0, -1]] = 3.0  # ghost cells
        matrix = sparse.diags_array([-np.ones(self.n - 1), main, -np.ones(self.n - 1)], offsets=[-1, 0, 1]) / h**2
        return matrix, a[0].numpy()


def test_second_order_and_a_vanishing_residual():
    errors = []
    for n in (20, 40):
        problem = Poisson(n)
        a = problem.sample([0, 2], 0)
        solution = problem.solve(a)
        exact = a / torch.tensor([1.0, 9.0]).view(2, 1, 1) / torch.pi**2
        errors.append((solution.u - exact).abs().max())
        assert solution.converged.all()
        assert problem.residual(a, solution.u, problem.grid).abs().max() < 1e-10
        assert problem.residual(a, 2 * solution.u, problem.grid).abs().max() > 0.9
    assert torch.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)


def test_the_residual_is_differentiable_and_bound_to_its_grid():
    problem = Poisson(8)
    u = torch.randn(1, 1, 8, dtype=torch.float64, requires_grad=True)
    problem.residual(problem.sample([0], 0), u, problem.grid).square().sum().backward()
    assert u.grad.abs().min() > 0
    with pytest.raises(InputError, match="residual is formed on"):
        problem.residual(problem.sample([0], 0), u, problem.grid.resized((9,)))


class Scaled(Elliptic):
    name, in_names, out_names, parameters = "s", ("a",), ("u",), {}
    grid = Grid((Axis("x", 4, nodes="cell"),))

    def sample(self, indices, seed):
        return torch.full((len(indices), 1, 4), 100.0, dtype=torch.float64)

    def system(self, a):
        return sparse.eye_array(4, format="csr") * 2, a[0].numpy()


def test_residual_sign_and_relative_size(monkeypatch):
    p = Scaled()
    a = p.sample([0], 0)
    torch.testing.assert_close(p.residual(a, torch.zeros_like(a), p.grid), a)  # b - A 0 = b
    monkeypatch.setattr(elliptic, "spsolve", lambda m, b: b / 2 * 1.01)
    s = p.solve(a)
    assert float(s.residual) == pytest.approx(0.01)
    assert not s.converged.any()
