"""The controlled equation against its solution by separation of variables."""

import torch

from pdeops.problems.controlled_ode import ControlledOde
from pdeops.solvers.steppers import Stepper


def test_the_exact_solution():
    """ln tan(z / 2) = ln tan(1 / 2) + u(t) - u(0), also for a path that does not begin at zero."""
    problem = ControlledOde(solver=Stepper(dt=1e-3))
    a = problem.sample(range(4), 0) + torch.tensor([0.0, 0.0, 0.7, -3.0]).view(4, 1, 1)
    z = problem.solve(a).u
    exact = 2 * torch.atan(torch.tan(torch.tensor(0.5, dtype=torch.float64)) * torch.exp(a - a[..., :1]))
    torch.testing.assert_close(z, exact, rtol=0, atol=3e-8)


def test_paths_have_the_stated_variance():
    """E u(t)^2 = sum_j j^-2 E sin^2(pi f t), f uniform on [0, 10]: half of sum_j j^-2, once t is large."""
    u = ControlledOde(n=11).sample(range(4000), 0)[:, 0, -1]
    assert abs(float(u.square().mean()) / (0.5 * sum(j**-2 for j in range(1, 11))) - 1) < 0.1
