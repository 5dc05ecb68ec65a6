"""Burgers against Cole and Hopf's exact solution."""

from math import pi

import pytest
import torch

from pdeops.problems.burgers1d import Burgers1D
from pdeops.solvers.steppers import Stepper


def cole_hopf(amplitude, viscosity, x, t, terms=60):
    """u(0) = amplitude sin(2 pi x): phi solves the heat equation from exp(amplitude cos(2 pi x) / (4 pi viscosity)),
    a series of modified Bessel functions; u = -2 viscosity phi_x / phi."""
    n = 4096
    y = torch.arange(n, dtype=torch.float64) / n
    start = torch.exp(amplitude * (torch.cos(2 * pi * y) - 1) / (4 * pi * viscosity))
    c = torch.fft.rfft(start, norm="forward")[:terms].real  # even: cosines alone
    k = 2 * pi * torch.arange(terms, dtype=torch.float64)
    c = c * torch.exp(-viscosity * k**2 * t) * torch.where(k == 0, 1.0, 2.0)
    phi = (c * torch.cos(torch.outer(x, k))).sum(1)
    phi_x = (-c * k * torch.sin(torch.outer(x, k))).sum(1)
    return -2 * viscosity * phi_x / phi


@pytest.mark.parametrize(("viscosity", "n"), [(0.1, 64), (0.02, 256)])
def test_the_exact_solution(viscosity, n):
    problem = Burgers1D(n=n, viscosity=viscosity, frames=4, solver=Stepper(dt=5e-4))
    x = problem.grid.space[0].points()
    a = torch.sin(2 * pi * x).view(1, 1, n)
    u = problem.solve(a).u[0, 0]
    for t, frame in zip(problem.grid[0].points(), u, strict=True):
        torch.testing.assert_close(frame, cole_hopf(1.0, viscosity, x, t), rtol=0, atol=2e-8)


def test_mass_is_conserved():
    problem = Burgers1D(n=128, frames=5, solver=Stepper(dt=2e-3))
    u = problem.solve(problem.sample(range(3), 0) + 0.3).u
    torch.testing.assert_close(u.mean(-1), torch.full((3, 1, 6), 0.3, dtype=torch.float64))


def test_initial_states_have_the_stated_covariance():
    problem = Burgers1D(n=32)
    c = torch.fft.rfft(problem.sample(range(4000), 0)[:, 0], norm="forward")
    k2 = (2 * pi * torch.arange(17, dtype=torch.float64)) ** 2
    ratio = c.abs().square().mean(0) / (625 * (k2 + 25) ** -2)
    assert c[:, 0].abs().max() < 1e-14
    assert (ratio[1:16] - 1).abs().max() < 0.1
    fine = torch.fft.rfft(Burgers1D(n=64).sample([5], 0)[:, 0], norm="forward")
    torch.testing.assert_close(torch.fft.rfft(problem.sample([5], 0)[:, 0], norm="forward")[:, :16], fine[:, :16])
