"""The Lorenz system: the driven half against the whole, and against equilibria."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pdeops.problems.lorenz63 import Lorenz63


@pytest.fixture(scope="module")
def problem():
    return Lorenz63()


@pytest.fixture(scope="module")
def solved(problem):
    a = problem.sample(range(3), 0)
    return a, problem.solve(a).u


def test_the_driven_half_is_that_of_the_whole_system(problem, solved):
    a, u = solved
    t = problem.grid[0].points().numpy()

    def lorenz(_, s):
        x, y, z = s
        return [10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z]

    for a_i, u_i in zip(a, u, strict=True):
        whole = solve_ivp(lorenz, (0, 2), a_i[:, 0].numpy(), "RK45", t, rtol=1e-10, atol=1e-10).y
        torch.testing.assert_close(a_i[0], torch.from_numpy(whole[0]), rtol=0, atol=1e-5)
        torch.testing.assert_close(u_i, torch.from_numpy(whole[1:]), rtol=0, atol=1e-4)


def test_the_observed_component_solves_its_own_equation(problem, solved):
    """x' = sigma (y - x), by differences: the observed x belongs to the y and z that are returned."""
    from pdeops.bases.differences import differentiation_matrix

    a, u = solved
    slope = a[:, 0] @ differentiation_matrix(problem.grid[0].points()).mT
    right = 10 * (u[:, 0] - a[:, 0])
    assert (slope - right).abs().max() < 1e-4 * right.abs().max()


def test_initial_states_fill_their_box(problem):
    x = torch.from_numpy(np.stack([problem._initial(i, 0) for i in range(500)]))
    low, high = x.amin(0), x.amax(0)
    assert (low < torch.tensor([-14, -14, 1])).all()
    assert (low >= torch.tensor([-15, -15, 0])).all()
    assert (high > torch.tensor([14, 14, 39])).all()
    assert (high <= torch.tensor([15, 15, 40])).all()


def test_equilibria_and_constant_channels(problem):
    """x = y = sqrt(beta (rho - 1)), z = rho - 1 stays; y(0) and z(0) are read from their channels."""
    x = (8 / 3 * 27) ** 0.5
    a = torch.tensor([x, x, 27.0], dtype=torch.float64).view(1, 3, 1).expand(1, 3, 201)
    u = problem.solve(a).u
    torch.testing.assert_close(u, a[:, 1:], rtol=1e-10, atol=0)
    free = torch.tensor([0.0, 3.0, 5.0], dtype=torch.float64).view(1, 3, 1).expand(1, 3, 201)
    t = problem.grid[0].points()
    exact = torch.stack([3 * torch.exp(-t), 5 * torch.exp(-8 / 3 * t)])
    torch.testing.assert_close(problem.solve(free).u[0], exact, rtol=1e-10, atol=0)
