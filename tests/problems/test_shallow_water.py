"""Shallow water: gravity waves, inertial oscillations, geostrophic balance, invariants, the nonlinearity."""

from math import cos, pi, sin, sqrt

import pytest
import torch

from pdeops.bases.fourier import Fourier
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.shallow_water import ShallowWater
from pdeops.solvers.steppers import Stepper

GRAVITY, DEPTH, CORIOLIS = 2.0, 0.5, 3.0


def inviscid(**settings):
    own = {"n": 16, "gravity": GRAVITY, "depth": DEPTH, "coriolis": CORIOLIS, "viscosity": 0.0}
    return ShallowWater(**own | {"solver": Stepper(dt=5e-3)} | settings)


def fields(height, u, v):
    return torch.stack(torch.broadcast_tensors(height, u, v)).unsqueeze(0)


def test_small_waves_keep_the_dispersion_relation():
    """A crest h = A cos(theta) at rest, theta = k . x: with omega^2 = f^2 + g H |k|^2 and c = cos(omega t) - 1,
    h = A (1 + g H |k|^2 c / omega^2) cos(theta), of divergence (A g |k|^2 / omega) sin(omega t) cos(theta) and
    vorticity (A f g |k|^2 c / omega^2) cos(theta); what is left is quadratic in A."""
    problem = inviscid(horizon=1.5, frames=3)
    kx, ky = 2 * pi, -4 * pi
    k2 = kx**2 + ky**2
    omega = sqrt(CORIOLIS**2 + GRAVITY * DEPTH * k2)
    x, y = problem.grid.space.points().unbind(-1)
    theta = kx * x + ky * y
    snapshots = []
    for t in problem.grid[0].points().tolist():
        c, s = cos(omega * t) - 1, sin(omega * t)
        height = (1 + GRAVITY * DEPTH * k2 * c / omega**2) * torch.cos(theta)
        along, across = GRAVITY / omega * s, CORIOLIS * GRAVITY / omega**2 * c
        u, v = kx * along - ky * across, ky * along + kx * across
        snapshots.append(torch.stack([height, u * torch.sin(theta), v * torch.sin(theta)]))
    linear = torch.stack(snapshots, dim=1).unsqueeze(0)

    def difference(amplitude):
        a = amplitude * fields(torch.cos(theta), 0 * x, 0 * x)
        return float((problem.solve(a).u - amplitude * linear).norm() / (amplitude * linear).norm())

    large, small = difference(1e-4), difference(5e-5)
    assert large < 5e-3
    assert large / small == pytest.approx(2, rel=0.01)  # relative to the amplitude: its square, quartered


def test_a_uniform_current_turns_at_the_coriolis_frequency():
    """u + i v turns like exp(-i f t)."""
    problem = inviscid(horizon=3.0, frames=4)
    one = torch.ones(16, 16, dtype=torch.float64)
    t = problem.grid[0].points()
    exact = torch.stack([0 * t, torch.cos(CORIOLIS * t), -torch.sin(CORIOLIS * t)]).view(1, 3, -1, 1, 1)
    u = problem.solve(fields(0 * one, one, 0 * one)).u
    torch.testing.assert_close(u, exact.expand_as(u), rtol=0, atol=1e-8)


@pytest.mark.parametrize("swap", [False, True])
def test_a_current_in_geostrophic_balance_is_steady(swap):
    """f u = -g h_y, v = 0, with h of y alone; and f v = g h_x, u = 0, with h of x alone."""
    problem = inviscid(horizon=0.5, frames=2)
    x, y = problem.grid.space.points().unbind(-1)
    across = x if swap else y
    height = 0.1 * torch.sin(2 * pi * across)
    slope = 0.2 * pi * torch.cos(2 * pi * across)
    current = GRAVITY / CORIOLIS * slope
    a = fields(height, 0 * x, current) if swap else fields(height, -current, 0 * x)
    u = problem.solve(a).u
    torch.testing.assert_close(u, a.unsqueeze(2).expand_as(u), rtol=0, atol=1e-11)


def test_mass_and_energy_are_conserved():
    """<h>, and without viscosity <(H + h) (u^2 + v^2) + g h^2> / 2, of a resolved flow."""
    waves = PeriodicKernel(width=1.0, amplitude=0.05)
    problem = inviscid(n=32, horizon=0.5, frames=4, initial=waves)
    a = problem.sample([0, 1], 0)
    a[:, 0] += 0.1
    fine = Fourier(problem.grid.space, degree=3)
    u = problem.solve(a).u
    assert (u[:, :, -1] - u[:, :, 0]).abs().amax((2, 3)).min() > 0.01
    height, east, north = fine.to_fine(fine.to_modes(u)).unbind(1)
    mass, kinetic = height.mean((2, 3)), ((DEPTH + height) * (east.square() + north.square())).mean((2, 3)) / 2
    energy = kinetic + GRAVITY * height.square().mean((2, 3)) / 2
    torch.testing.assert_close(mass, torch.full_like(mass, 0.1), rtol=0, atol=1e-14)
    assert kinetic.max() > 1e-4
    torch.testing.assert_close(energy, energy[:, :1].expand_as(energy), rtol=1e-7, atol=0)


def test_viscosity_damps_the_currents_alone():
    problem = inviscid(viscosity=0.02)
    basis = problem.basis(problem.grid.space)
    zero = torch.zeros_like(basis.k2)
    damped = -0.02 * basis.k2
    symbol = problem.linear(basis, torch.zeros(1, 3, 16, 16))
    torch.testing.assert_close(symbol.view(3, *basis.k2.shape), torch.stack([zero, damped, damped]))


def test_the_nonlinearity():
    """Against the advective form, differentiated by hand."""
    problem = inviscid(length=2 * pi)
    x, y = problem.grid.space.points().unbind(-1)
    sin, cos = torch.sin, torch.cos
    h, h_x, h_y = 0.3 * sin(x) * cos(2 * y), 0.3 * cos(x) * cos(2 * y), -0.6 * sin(x) * sin(2 * y)
    u, u_x, u_y = 0.5 + cos(2 * x + y), -2 * sin(2 * x + y), -sin(2 * x + y)
    v, v_x, v_y = sin(x) + cos(3 * y), cos(x), -3 * sin(3 * y)
    expected = [
        -(u * h_x + v * h_y) - (DEPTH + h) * (u_x + v_y),
        CORIOLIS * v - GRAVITY * h_x - u * u_x - v * u_y,
        -CORIOLIS * u - GRAVITY * h_y - u * v_x - v * v_y,
    ]
    a = fields(h, u, v)
    basis = problem.basis(problem.grid.space)
    values = basis.to_values(problem.nonlinear(basis, a)(basis.to_modes(a)))
    torch.testing.assert_close(values[0], torch.stack(expected))


def test_rest_stays_rest():
    problem = ShallowWater(n=8, frames=2)
    a = problem.sample([0], 0)
    assert a[:, 1:].abs().max() == 0  # the water starts at rest
    a[:, 0] = 0.2
    u = problem.solve(a).u
    torch.testing.assert_close(u, a.unsqueeze(2).expand_as(u), rtol=0, atol=1e-15)


def test_a_channel_of_round_off_does_not_rule_the_steps():
    """A geostrophic shear: v is zero but for round-off, and the steps follow h and u."""
    problem = ShallowWater(n=16, horizon=0.5, frames=2, viscosity=0.0)
    y = problem.grid.space.points()[..., 1]
    h = 0.1 * torch.cos(2 * pi * y)
    u = 0.1 * 2 * pi * torch.sin(2 * pi * y)  # coriolis u = -gravity h_y
    a = torch.stack([h, u, 1e-17 * torch.cos(2 * pi * (y + 0.1))]).unsqueeze(0)
    solution = problem.solve(a)
    assert solution.converged.all()
    torch.testing.assert_close(solution.u, a.unsqueeze(2).expand(-1, -1, 3, -1, -1), rtol=0, atol=1e-10)
