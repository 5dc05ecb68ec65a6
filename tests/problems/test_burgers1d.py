"""Burgers against Cole and Hopf's exact solution."""

import os
from math import pi
from pathlib import Path

import pytest
import torch
from scipy.io import loadmat

from pdeops.bases.fourier import Fourier
from pdeops.problems.burgers1d import Burgers1D
from pdeops.solvers.steppers import Stepper

PUBLISHED = Path(os.environ.get("PDEOPS_DATA", "")) / "burgers_shock.mat"


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


def shock(viscosity, x, t):
    """u(0) = -sin(pi x), at times t: the mean of -sin(pi y) under the weight
    exp(-(x - y)^2 / (4 viscosity t) - cos(pi y) / (2 pi viscosity)), by the trapezoidal rule."""
    s = torch.linspace(-16, 16, 257, dtype=torch.float64).view(-1, 1, 1)
    y = x - 2 * (viscosity * t.unsqueeze(-1)).sqrt() * s
    weight = torch.softmax(-s.square() - torch.cos(pi * y) / (2 * pi * viscosity), 0)
    return -(weight * torch.sin(pi * y)).sum(0)


def test_a_shock_that_stands():
    """u(0) = -sin(pi x) on [-1, 1] at viscosity 0.01 / pi, at nodes beside those of the solver's lattice."""
    n, viscosity = 1024, 0.01 / pi
    problem = Burgers1D(n=n, length=2.0, viscosity=viscosity, horizon=0.99, frames=11, solver=Stepper(tolerance=1e-6))
    a = torch.sin(pi * problem.grid.space[0].points()).view(1, 1, n)  # the lattice begins at x = -1
    c = Fourier(problem.grid.space).to_modes(problem.solve(a).u[0, 0])
    x = torch.linspace(-1, 1, 256, dtype=torch.float64)
    k = torch.arange(c.shape[-1], dtype=torch.float64)
    waves = torch.exp(1j * pi * torch.outer(k, x + 1)) * torch.where(k > 0, 2.0, 1.0).unsqueeze(-1)
    exact = shock(viscosity, x, problem.grid[0].points())
    torch.testing.assert_close((c @ waves).real, exact, rtol=0, atol=1e-6)


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="PDEOPS_DATA names no folder with burgers_shock.mat")
def test_the_published_shock():
    """Of Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019)."""
    data = loadmat(PUBLISHED)
    x, t, u = (torch.from_numpy(data[key]) for key in ("x", "t", "usol"))
    torch.testing.assert_close(shock(0.01 / pi, x.flatten(), t.flatten()), u.T, rtol=0, atol=1e-10)


def test_energy_balance():
    """d/dt int u^2 / 2 = -viscosity int u_x^2, by central differences in time."""
    problem = Burgers1D(n=128, viscosity=0.02, start=0.5, horizon=1.0, frames=100, solver=Stepper(tolerance=1e-10))
    u = problem.solve(problem.sample(range(3), 0)).u
    basis = Fourier(problem.grid.space)
    energy = u.square().mean(-1) / 2
    loss = 0.02 * basis.to_values(1j * basis.k[0] * basis.to_modes(u)).square().mean(-1)
    measured = (energy[..., :-4] - 8 * energy[..., 1:-3] + 8 * energy[..., 3:-1] - energy[..., 4:]) / (12 / 200)
    torch.testing.assert_close(measured, -loss[..., 2:-2], rtol=1e-5, atol=1e-8)


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
