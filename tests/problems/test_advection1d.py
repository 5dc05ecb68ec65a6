"""Advection: every profile moves along unchanged."""

from math import pi

import pytest
import torch

from pdeops.problems.advection1d import Advection1D
from pdeops.solvers.steppers import Stepper

ONE_PAIR = Stepper(dt=1e3)  # of steps from snapshot to snapshot


def profile(x, length):
    return torch.exp(torch.sin(2 * pi / length * x)) + torch.cos(14 * pi / length * x)


@pytest.mark.parametrize("speed", [1.5, -0.7])
def test_profiles_move_at_the_speed(speed):
    problem = Advection1D(n=64, length=3.0, horizon=10.0, frames=5, speed=speed, solver=ONE_PAIR)
    t, x = problem.grid.points().unbind(-1)
    solution = problem.solve(profile(x[:1], 3.0).unsqueeze(0))
    torch.testing.assert_close(solution.u[0, 0], profile(x - speed * t, 3.0), rtol=0, atol=1e-12)
    assert float(solution.error) < 1e-12


def test_every_sample_moves_at_its_own_speed():
    problem = Advection1D(n=64, frames=4, speed=[0.5, 2.0], solver=ONE_PAIR)
    t, x = problem.grid.points().unbind(-1)
    a = problem.sample(range(3), 0)
    a[:, 0] = profile(x[0], 1.0)
    speed = a[:, 1, 0].view(3, 1, 1)
    assert len(set(speed.flatten().tolist())) == 3
    torch.testing.assert_close(problem.solve(a).u[:, 0], profile(x - speed * t, 1.0), rtol=0, atol=1e-12)
