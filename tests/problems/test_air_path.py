"""The air path against formulas written out anew and integrated by others, its valve alone, and its balance at rest."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from pdeops.problems.air_path import AirPath
from pdeops.solvers.steppers import Stepper


def right_hand_side(t, state, commands, problem):
    p, q, w, v = state
    f, c, d = commands(t)

    def root(x):
        return x / np.sqrt(np.hypot(x, 0.2))

    def positive(x):
        return (x + np.hypot(x, 0.2)) / 2

    compressor = w / (0.1 + positive(p**0.286 - 1)) + root(positive(1 - p))
    back = 0.5 * v * root(q - p)
    turbine = (1 + 1.5 * d) * (q - 1)
    power = problem.efficiency * turbine * (1 - q**-0.286)
    return [
        (compressor + back - p) / problem.intake,
        ((1 + problem.heat * f) * p - back - turbine) / problem.exhaust,
        (power - w) / problem.shaft,
        (c - v) / problem.valve,
    ]


@pytest.mark.parametrize("changed", [{}, {"intake": 0.7, "exhaust": 0.3, "shaft": 1.1, "valve": 0.4, "heat": 0.8}])
def test_against_another_integrator(changed):
    problem = AirPath(n=201, horizon=4.0, efficiency=0.5, solver=Stepper(dt=0.0025), **changed)

    def commands(t):
        return np.array([0.5 + 0.4 * np.sin(t), 0.5 + 0.3 * np.cos(2 * t), 0.4 + 0.3 * np.sin(3 * t + 1)])

    t = problem.grid[0].points()
    a = torch.from_numpy(commands(t.numpy())).unsqueeze(0)
    u = problem.solve(a).u[0]
    start = [1, 1, 0, commands(0)[1]]
    given = {"args": (commands, problem), "t_eval": t.numpy(), "rtol": 1e-11, "atol": 1e-12}
    truth = solve_ivp(right_hand_side, (0, 4.0), start, "DOP853", **given).y
    torch.testing.assert_close(u, torch.from_numpy(truth), rtol=0, atol=3e-8)


def test_flows_balance_under_constant_commands():
    """At last nothing changes, and what the turbine lets out is what came in, heated."""
    problem = AirPath(horizon=100.0, solver=Stepper(dt=0.03125))
    a = torch.tensor([0.6, 0.5, 0.5], dtype=torch.float64).view(1, 3, 1).expand(-1, -1, 401)
    u = problem.solve(a).u
    torch.testing.assert_close(u[..., -50:], u[..., -1:].expand(-1, -1, 50), rtol=0, atol=1e-5)
    p, q, _, v = u[0, :, -1].tolist()
    assert v == pytest.approx(0.5)
    turbine = 1.75 * (q - 1)
    back = 0.25 * (q - p) / np.sqrt(np.hypot(q - p, 0.2))
    assert turbine + back == pytest.approx((1 + 1.2 * 0.6) * p, rel=1e-5)
    assert 1 < p < q


def test_samples_stay_in_a_sensible_range():
    problem = AirPath()
    a = problem.sample(range(12), 0)
    assert 0 < a.min() < 0.1
    assert 0.9 < a.max() < 1
    u = problem.solve(a).u
    assert u[:, :2].min() > 0.5
    assert u[:, 0].max() < 3
    assert u[:, 1].max() < 6
    assert u[:, 2].min() >= 0
    assert 0 < u[:, 3].min() < u[:, 3].max() < 1
