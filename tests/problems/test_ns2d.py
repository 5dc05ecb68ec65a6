"""Navier-Stokes against an exact vortex, the velocity form and its own invariants."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.problems.inputs import Matern
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper


def vortex(problem, k=1):
    x, y = (2 * pi * k / problem.length * c for c in problem.grid.space.points().unbind(-1))
    return (torch.cos(x) * torch.cos(y)).view(1, 1, problem.n, problem.n)


@pytest.mark.parametrize("length", [1.0, 2 * pi])
def test_taylor_green_to_ten_digits(length):
    """w = exp(-2 viscosity kappa^2 t) cos(kappa x) cos(kappa y) solves the unforced equations."""
    viscosity = 1e-3 * length**2
    problem = NavierStokes2D(
        n=32, viscosity=viscosity, horizon=5.0, frames=5, length=length, forcing=None, solver=Stepper(dt=0.05)
    )
    a = vortex(problem)
    u = problem.solve(a).u
    decay = torch.exp(-2 * viscosity * (2 * pi / length) ** 2 * problem.grid[0].points()).view(-1, 1, 1)
    exact = decay * a.unsqueeze(2)
    assert ((u - exact).norm() / exact.norm()) < 1e-10


def test_drag_damps_every_mode_alike():
    """A shear flow w = cos(2 pi 3 y) does not advect itself: it decays by drag and viscosity."""
    problem = NavierStokes2D(n=16, viscosity=1e-2, drag=0.7, horizon=1.0, frames=2, forcing=None)
    y = problem.grid.space.points()[..., 1]
    a = torch.cos(6 * pi * y).view(1, 1, 16, 16)
    exact = torch.exp(-(0.7 + 1e-2 * (6 * pi) ** 2) * problem.grid[0].points()).view(-1, 1, 1) * a.unsqueeze(2)
    torch.testing.assert_close(problem.solve(a).u, exact)


def test_enstrophy_balance_of_the_solution():
    """d/dt <w^2>/2 = -viscosity <|grad w|^2> + <f w>, in finite time differences of the solution."""
    problem = NavierStokes2D(n=32, horizon=0.5, frames=50, solver=Stepper(dt=1e-2))
    u = problem.solve(problem.sample([0], 0)).u[0, 0]
    basis = Fourier(problem.grid.space)
    c = basis.to_modes(u)
    x, y = problem.grid.space.points().unbind(-1)
    force = 0.1 * (torch.sin(2 * pi * (x + y)) + torch.cos(2 * pi * (x + y)))
    diffusion = basis.to_values(-problem.viscosity * basis.k2 * c)
    power = (u * (diffusion + force)).mean((1, 2))
    enstrophy = u.square().mean((1, 2)) / 2
    measured = (enstrophy[2:] - enstrophy[:-2]) / (2 * 0.01)
    torch.testing.assert_close(measured, power[1:-1], rtol=1e-3, atol=1e-9)


def test_spatial_convergence_is_spectral():
    a, solutions = None, {}
    for n in (16, 32, 64):
        problem = NavierStokes2D(n=n, horizon=1.0, frames=1, viscosity=5e-3, solver=Stepper(dt=0.02))
        a = problem.sample([0], 0)
        solutions[n] = problem.solve(a).u[0, 0, -1]
    errors = [(solutions[n] - solutions[64][:: 64 // n, :: 64 // n]).abs().max() for n in (16, 32)]
    assert errors[1] < errors[0] / 20


def test_the_same_seed_is_the_same_function_on_every_lattice():
    coarse, fine = (NavierStokes2D(n=n).sample([7], 1) for n in (32, 64))
    basis = Fourier(NavierStokes2D(n=32).grid.space)
    torch.testing.assert_close(basis.to_modes(coarse), basis.to_modes(fine[..., ::2, ::2]), rtol=0.2, atol=2e-4)
    c_coarse, c_fine = (torch.fft.rfft2(w, norm="forward") for w in (coarse, fine))
    torch.testing.assert_close(c_coarse[..., :16, :16], c_fine[..., :16, :16])


def test_initial_states_have_the_stated_covariance():
    """E|c_k|^2 = 7^(3/2) (4 pi^2 |k|^2 + 49)^(-5/2) for every mode, zero mean."""
    problem = NavierStokes2D(n=16)
    c = torch.fft.fft2(problem.sample(range(4000), 0)[:, 0], norm="forward")
    measured = c.abs().square().mean(0)
    k = torch.fft.fftfreq(16, 1 / 16, dtype=torch.float64)
    k2 = k[:, None] ** 2 + k[None, :] ** 2
    expected = 7**1.5 * (4 * pi**2 * k2 + 49) ** -2.5
    inner = (k.abs()[:, None] < 8) & (k.abs()[None, :] < 8) & (k2 > 0)
    assert measured[0, 0] < 1e-30
    ratio = (measured / expected)[inner]
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert (ratio - 1).abs().max() < 0.12


def test_blow_up_stops_with_the_sample_and_the_remedy():
    problem = NavierStokes2D(n=16, horizon=2.0, frames=2, viscosity=0.0, solver=Stepper(dt=0.5))
    a = problem.sample([0, 1], 0)
    a[1] *= 1e6
    with pytest.raises(InputError, match=r"sample 1: .* no longer finite at time .*Lower problem.solver.dt"):
        problem.solve(a)


def test_a_residual_needs_snapshots():
    problem = NavierStokes2D(n=8)
    with pytest.raises(InputError, match="two snapshots"):
        problem.residual(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), problem.grid.space)


def test_the_amplitude_scales_the_initial_state():
    law = {"variance": 7**1.5, "tau": 7.0, "alpha": 2.5}
    unit = NavierStokes2D(n=8).sample([3], 0)
    scaled = NavierStokes2D(n=8, initial=Matern(**law, amplitude=6.0861)).sample([3], 0)
    torch.testing.assert_close(scaled, 6.0861 * unit)
    assert pytest.approx(2**0.5 * 7**0.75, abs=5e-5) == 6.0861  # the published generator's, over the paper's formula


@pytest.mark.parametrize("rate", [0.0, 2.0])
def test_nyquist_modes_count_in_the_residual(rate):
    """w = cos(pi n x) exp(-rate t) lies outside the basis: it counts as if it decayed within one snapshot distance."""
    problem = NavierStokes2D(n=16, forcing=None, horizon=2.0, frames=4)
    t, x, _ = problem.grid.points().unbind(-1)
    nyquist = (torch.cos(16 * pi * x) * torch.exp(-rate * t))[None, None]
    torch.testing.assert_close(problem.residual(nyquist[:, :, 0], nyquist, problem.grid), nyquist / 0.5)
