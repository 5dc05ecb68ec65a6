"""The pendulum against elliptic functions and a motion chosen beforehand."""

import torch
from scipy.special import ellipj

from pdeops.problems.pendulum import Pendulum
from pdeops.solvers.steppers import Stepper


def test_a_motion_chosen_beforehand():
    """s1 = sin^2(2 t) under the torque that makes it one."""
    problem = Pendulum(k=3.0)
    t = problem.grid[0].points()
    angle, velocity = torch.sin(2 * t).square(), 2 * torch.sin(4 * t)
    torque = 8 * torch.cos(4 * t) + 3.0 * torch.sin(angle)
    u = problem.solve(torque.view(1, 1, -1)).u[0]
    torch.testing.assert_close(u, torch.stack([angle, velocity]), rtol=0, atol=1e-8)


def test_a_free_swing():
    """From (0, v) without torque: sin(s1 / 2) = q sn(sqrt(k) t, q^2), q = v / (2 sqrt(k))."""

    class Kicked(Pendulum):
        def start(self, a):
            return torch.tensor([0.0, 1.2], dtype=a.dtype).view(1, 2, 1)

    problem = Kicked(k=2.0, horizon=3.0, solver=Stepper(dt=5e-3))
    t = problem.grid[0].points()
    q = 1.2 / (2 * 2.0**0.5)
    sn = torch.from_numpy(ellipj((2.0**0.5 * t).numpy(), q**2)[0])
    u = problem.solve(torch.zeros(1, 1, 100)).u[0]
    torch.testing.assert_close(torch.sin(u[0] / 2), q * sn, rtol=0, atol=2e-9)
    energy = u[1].square() / 2 - 2.0 * torch.cos(u[0])
    torch.testing.assert_close(energy, energy[:1].expand(100), rtol=0, atol=1e-8)
