"""Fisher and KPP: uniform states, a front and the bounds of the solution."""

from math import sqrt

import torch

from pdeops.bases.fourier import resample
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.solvers.steppers import Stepper


def test_uniform_states_follow_the_logistic_equation():
    """u / (1 - u) grows like exp(rate t)."""
    problem = ReactionDiffusion(n=8, frames=5, rate=3.0, solver=Stepper(tolerance=1e-11))
    start = torch.tensor([0.0, 0.01, 0.5, 1.0], dtype=torch.float64).view(4, 1, 1)
    u = problem.solve(start.expand(4, 1, 8)).u
    growth = torch.exp(3 * problem.grid[0].points()).view(-1, 1)
    exact = start * growth / (1 - start + start * growth)
    torch.testing.assert_close(u, exact.unsqueeze(1).expand_as(u), rtol=0, atol=1e-10)


def test_fronts_move_at_their_exact_speed():
    """(1 + exp(z / sqrt 6))^-2, z = (x - c t) sqrt(rate / diffusivity), c = 5 sqrt(rate diffusivity / 6); two of them
    part around a half of the circle, 56 of their widths away from each other.

    Source: Ablowitz and Zeppetella, Bull. Math. Biol. 41 (1979).
    """
    diffusivity, rate = 1e-4, 5.0
    problem = ReactionDiffusion(
        n=256, horizon=1.5, frames=5, diffusivity=diffusivity, rate=rate, solver=Stepper(tolerance=1e-9)
    )

    def front(t, x):
        z = ((x - 0.5).abs() - 0.25 - 5 * sqrt(rate * diffusivity / 6) * t) * sqrt(rate / diffusivity)
        return (1 + torch.exp(z / sqrt(6))) ** -2

    t, x = problem.grid.points().unbind(-1)
    u = problem.solve(front(0, x[0]).view(1, 1, -1)).u[0, 0]
    torch.testing.assert_close(u, front(t, x), rtol=0, atol=1e-7)


def test_solutions_keep_their_bounds():
    """0 <= u <= 1 between the nodes too, up to what the lattice does not resolve; nothing falls."""
    problem = ReactionDiffusion(n=64, frames=10, solver=Stepper(tolerance=1e-8))
    u = problem.solve(problem.sample(range(8), 0)).u
    between = resample(u, (512,))
    assert between.min() > -1e-3
    assert between.max() < 1 + 1e-3
    assert (u.mean(-1).diff(dim=-1) > 0).all()
    assert u[:, :, -1].min() > 0.5
