"""Gray and Scott: the reaction, uniform states, the balance of mass, coefficients drawn per sample."""

from math import pi

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pdeops.problems.gray_scott import GrayScott
from pdeops.problems.inputs import Spots
from pdeops.solvers.steppers import Stepper

WIDE = Spots(count=3, width=0.3)


def test_the_reaction_on_the_nodes():
    problem = GrayScott(n=16, length=2 * pi, feed=0.03)
    x, y = problem.grid.space.points().unbind(-1)
    u, v = 1 + 0.5 * torch.cos(x + 2 * y), 0.3 + 0.2 * torch.sin(2 * x) * torch.cos(y)
    fields = torch.stack([u, v]).unsqueeze(0)
    basis = problem.basis(problem.grid.space)
    values = basis.to_values(problem.nonlinear(basis, fields)(basis.to_modes(fields)))
    torch.testing.assert_close(values[0], torch.stack([0.03 - u * v**2, u * v**2]))


def test_uniform_states():
    problem = GrayScott(n=4, horizon=60.0, frames=4, feed=0.03, kill=0.05, solver=Stepper(dt=0.06))
    starts = [(0.6, 0.3), (1.0, 0.01), (0.2, 0.9)]
    a = torch.tensor(starts, dtype=torch.float64).view(3, 2, 1, 1).expand(-1, -1, 4, 4)

    def rates(t, state):
        u, v = state
        return -u * v * v + 0.03 * (1 - u), u * v * v - (0.03 + 0.05) * v

    exact = [
        solve_ivp(rates, (0, 60), start, "DOP853", np.linspace(0, 60, 5), rtol=1e-12, atol=1e-13, max_step=0.5).y
        for start in starts
    ]
    exact = torch.from_numpy(np.stack(exact)).view(3, 2, 5, 1, 1)
    torch.testing.assert_close(problem.solve(a).u, exact.expand(-1, -1, -1, 4, 4), rtol=0, atol=1e-9)


def test_each_species_spreads_with_its_own_diffusivity():
    problem = GrayScott(n=8, length=2.0, diffusivity_u=3.0, diffusivity_v=0.5, feed=0.25, kill=0.5)
    basis = problem.basis(problem.grid.space)
    k = pi * torch.arange(-3, 4, dtype=torch.float64).roll(-3)
    laplace = -(k.view(-1, 1) ** 2 + k[:4] ** 2)
    expected = torch.stack([3.0 * laplace - 0.25, 0.5 * laplace - 0.75])
    torch.testing.assert_close(problem.linear(basis, torch.zeros(1, 2, 8, 8)).squeeze(0), expected)


def test_the_balance_of_mass():
    """d/dt <u + v> = feed <1 - u> - (feed + kill) <v>, by central differences in time."""
    problem = GrayScott(n=24, horizon=40.0, frames=40, initial=WIDE, solver=Stepper(tolerance=1e-10))
    u, v = problem.solve(problem.sample([0, 1], 0)).u.flatten(3).mean(3).unbind(1)
    mass = u + v
    measured = (mass[:, :-4] - 8 * mass[:, 1:-3] + 8 * mass[:, 3:-1] - mass[:, 4:]) / 12
    torch.testing.assert_close(measured, (0.04 * (1 - u) - 0.1 * v)[:, 2:-2], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("drawn", [{"feed": [0.03, 0.05]}, {"kill": [0.05, 0.07], "diffusivity_v": [5e-6, 5e-5]}])
def test_coefficients_drawn_per_sample(drawn):
    settings = {"n": 12, "horizon": 50.0, "frames": 2, "initial": WIDE, "solver": Stepper(dt=1.0)}
    problem = GrayScott(**settings, **drawn)
    assert problem.in_names == ("u", "v", *[name for name in problem.coefficients if name in drawn])
    a = problem.sample([0, 1], 0)
    basis = problem.basis(problem.grid.space)
    assert problem.linear(basis, a).shape == (2, 2, *basis.k2.shape)
    u = problem.solve(a).u
    for i in range(2):
        own = {name: float(a[i, problem.in_names.index(name), 0, 0]) for name in drawn}
        assert all(low < own[name] < high for name, (low, high) in drawn.items())
        torch.testing.assert_close(u[i : i + 1], GrayScott(**settings, **own).solve(a[i : i + 1, :2]).u)
