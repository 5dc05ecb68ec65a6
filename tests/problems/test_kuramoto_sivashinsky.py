"""Kuramoto and Sivashinsky: growth rates, the mean, the energy balance, the nonlinearity."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import Fourier
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.kuramoto_sivashinsky import KuramotoSivashinsky, KuramotoSivashinsky2D
from pdeops.solvers.steppers import Stepper

BOTH = pytest.mark.parametrize("cls", [KuramotoSivashinsky, KuramotoSivashinsky2D])


def small(cls, **settings):
    return cls(
        **{"n": 32, "length": 20.0, "initial": PeriodicKernel(width=0.3), "solver": Stepper(tolerance=1e-10)} | settings
    )


@BOTH
def test_tiny_perturbations_grow_at_k2_less_k4(cls):
    problem = small(cls, start=0.0, horizon=1.0, frames=1)
    modes = [(m,) for m in range(1, 6)] if cls.dimensions == 1 else [(1, 0), (0, 1), (2, -1), (0, 4), (3, 3)]
    kappa = 2 * pi / problem.length * torch.tensor(modes, dtype=torch.float64)
    a = 1e-9 * torch.cos(torch.einsum("mi,...i->m...", kappa, problem.grid.space.points())).unsqueeze(1)
    k2 = kappa.square().sum(1)
    assert (k2 < 1).any()
    assert (k2 > 1).any()
    u = problem.solve(a).u[:, :, 1]
    measured = ((u * a).flatten(1).sum(1) / a.square().flatten(1).sum(1)).log()
    torch.testing.assert_close(measured, k2 - k2**2, rtol=0, atol=1e-6)


@BOTH
def test_the_mean_is_held(cls):
    problem = small(cls, start=0.0, horizon=2.0, frames=2, solver=Stepper(tolerance=1e-6))
    a = problem.sample([0, 1], 0) + torch.tensor([0.0, 0.4], dtype=torch.float64).view(-1, 1, *(1,) * cls.dimensions)
    mean = problem.solve(a).u.flatten(3).mean(3)
    torch.testing.assert_close(
        mean, torch.tensor([[[0.0]], [[0.4]]], dtype=torch.float64).expand_as(mean), rtol=0, atol=1e-14
    )


@BOTH
def test_energy_balance(cls):
    """d/dt <u^2> / 2 = <|grad u|^2> - <(Laplace u)^2>, in two dimensions less <u |grad u|^2> / 2; by central
    differences in time, of zero-mean solutions."""
    problem = small(cls, start=2.0, horizon=3.0, frames=20)
    u = problem.solve(problem.sample([0, 1], 0)).u
    basis = Fourier(problem.grid.space, degree=3)
    c = basis.to_modes(u)
    slope2 = sum(basis.to_fine(1j * k * c).square() for k in basis.k)
    power = slope2 - basis.to_fine(basis.k2 * c).square()
    if cls.dimensions == 2:
        power = power - basis.to_fine(c) * slope2 / 2
    power, energy = power.flatten(3).mean(3), u.square().flatten(3).mean(3) / 2
    measured = (energy[..., :-4] - 8 * energy[..., 1:-3] + 8 * energy[..., 3:-1] - energy[..., 4:]) / (12 * 0.05)
    assert (power[..., 0] / energy[..., 0]).abs().min() > 1e-2
    torch.testing.assert_close(measured, power[..., 2:-2], rtol=1e-4, atol=1e-6)


def tendency(problem, u):
    basis = problem.basis(problem.grid.space)
    return basis.to_values(problem.nonlinear(basis, u)(basis.to_modes(u)))


def test_the_nonlinearity_on_a_circle():
    problem = small(KuramotoSivashinsky, length=2 * pi)
    x = problem.grid.space[0].points()
    u = torch.sin(x) + torch.cos(2 * x) / 2 + 0.3
    expected = -u * (torch.cos(x) - torch.sin(2 * x))
    torch.testing.assert_close(tendency(problem, u[None, None])[0, 0], expected)


def test_the_nonlinearity_on_a_torus():
    problem = small(KuramotoSivashinsky2D, length=2 * pi)
    x, y = problem.grid.space.points().unbind(-1)
    u = torch.sin(x) * torch.cos(2 * y) + torch.cos(3 * x)
    u_x, u_y = torch.cos(x) * torch.cos(2 * y) - 3 * torch.sin(3 * x), -2 * torch.sin(x) * torch.sin(2 * y)
    slope2 = u_x.square() + u_y.square()
    torch.testing.assert_close(tendency(problem, u[None, None])[0, 0], (slope2.mean() - slope2) / 2)
