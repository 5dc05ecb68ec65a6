"""Diffusion and reaction under a source: an exact solution, an equilibrium chosen beforehand, convergence."""

from math import pi

import pytest
import torch

from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.norms import Lp
from pdeops.problems.diffusion_reaction import DiffusionReaction
from pdeops.solvers.steppers import Stepper


def test_the_exact_solution_without_reaction():
    """Source sin(pi x): s = (1 - exp(-D pi^2 t)) / (D pi^2) sin(pi x)."""
    problem = DiffusionReaction(rate=0.0, diffusivity=0.05, length=2.0, frames=10)
    t, x = problem.grid.points().unbind(-1)
    source = torch.sin(pi * x[:1] / 2)
    decay = 0.05 * (pi / 2) ** 2
    u = problem.solve(torch.stack([torch.zeros_like(source), source], dim=1)).u[0, 0]
    torch.testing.assert_close(u, (1 - torch.exp(-decay * t)) / decay * torch.sin(pi * x / 2), rtol=0, atol=1e-11)


def test_an_equilibrium_chosen_beforehand():
    """s = sin(pi x) stays under the source D pi^2 sin - k sin^2: solved, and with a residual of zero."""
    problem = DiffusionReaction(rate=0.3, diffusivity=0.2, frames=8)
    s = torch.sin(pi * problem.grid.space[0].points())
    a = torch.stack([s, 0.2 * pi**2 * s - 0.3 * s.square()]).unsqueeze(0)
    u = s.expand(1, 1, *problem.grid.shape)
    solution = problem.solve(a)
    torch.testing.assert_close(solution.u, u, rtol=0, atol=1e-10)
    assert solution.residual < 1e-8  # its L2 norm
    assert problem.residual(a, u, problem.grid).abs().max() < 1e-8
    wrong = problem.residual(a, 1.1 * u, problem.grid)
    expected = 0.1 * 0.2 * pi**2 * s - 0.3 * 0.21 * s.square()
    torch.testing.assert_close(wrong, expected.expand_as(wrong), rtol=0, atol=1e-6)


def test_the_solution_converges_in_space():
    """Sources that do not vanish at the ends, whose layers there are thinnest at first."""

    def solved(n):
        problem = DiffusionReaction(n=n, rate=1.0, frames=20)
        return problem.solve(problem.sample(range(3), 0)).u[..., :: (n - 1) // 39]

    coarse, middle, fine = (solved(n) for n in (40, 79, 157))
    errors = [(u - fine).abs().amax((0, 1, 3))[1:] for u in (coarse, middle)]
    assert (errors[0] < 5e-5).all()
    assert (errors[1] < 1e-3 * errors[0]).all()


@pytest.mark.parametrize("scheme", ["etdrk2", "etdrk4", "cn_heun"])
def test_the_error_estimate_is_one(scheme):
    coarse = DiffusionReaction(n=24, rate=1.0, frames=2, solver=Stepper(scheme, dt=0.125))
    fine = DiffusionReaction(n=24, rate=1.0, frames=2, solver=Stepper(dt=0.005))
    a = fine.sample(range(4), 0)
    solution, reference = coarse.solve(a), fine.solve(a).u
    norm = Lp(fine.grid)
    error = ((norm(solution.u - reference)) / norm(reference)).amax(1)
    assert (error < 1.01 * solution.error).all()
    assert (solution.error < 100 * error).all()


def test_the_residual_of_the_solution_vanishes_at_sixth_order():
    """Once the layers at the ends have spread, the snapshots' distance is the only error left."""

    def residual(frames):
        problem = DiffusionReaction(
            n=80, diffusivity=0.6, rate=1.0, horizon=2.0, frames=frames, solver=Stepper(dt=5e-3)
        )
        source = 2 + torch.sin(7 * problem.grid.space[0].points())
        a = torch.stack([torch.zeros_like(source), source]).unsqueeze(0)
        return problem.residual(a, problem.solve(a).u, problem.grid)[:, :, frames // 2 :].square().mean().sqrt()

    assert torch.log2(residual(24) / residual(48)) == pytest.approx(6, abs=0.6)


def test_samples_depend_on_seed_and_index_alone():
    problem = DiffusionReaction(n=20, rate=[0.01, 0.1])
    a = problem.sample(range(4), 3)
    assert problem.in_names == ("s", "source", "rate")
    assert a.shape == (4, 3, 20)
    assert not a[:, 0].any()
    assert torch.equal(problem.sample([2], 3), a[2:3])
    torch.testing.assert_close(DiffusionReaction(n=39).sample([2], 3)[0, 1, ::2], a[2, 1], rtol=0, atol=1e-10)
    both = problem.solve(a).u
    torch.testing.assert_close(problem.solve(a[3:]).u, both[3:], rtol=1e-6, atol=1e-9)


def test_the_residual_on_another_grid_and_with_a_history_on_a_time_axis():
    problem = DiffusionReaction(n=20, frames=10)
    grid = Grid((problem.grid[0].resized(8), problem.grid[1].resized(15)))
    a, u = torch.rand(2, 2, 15), torch.rand(2, 1, 8, 15, requires_grad=True)
    r = problem.residual(a, u, grid)
    assert r.dtype == torch.float32
    exact = problem.residual(a.double(), u.double(), grid)
    assert (r - exact).abs().max() < 1e-4 * exact.abs().max()
    torch.testing.assert_close(problem.residual(a.unsqueeze(2).expand(2, 2, 3, 15), u, grid), r)
    r.square().sum().backward()
    assert (u.grad != 0).all()


def test_constrain_imposes_the_ends_alone():
    problem = DiffusionReaction(n=20, frames=3)
    u = torch.randn(2, 1, 4, 20)
    constrained = problem.constrain(torch.zeros(2, 2, 20), u, problem.grid)
    assert not constrained[..., [0, -1]].any()
    assert torch.equal(constrained[..., 1:-1], u[..., 1:-1])


def test_written_down_and_built_again():
    problem = DiffusionReaction(n=20, rate=0.5)
    again = from_config(to_config(problem))
    assert to_config(again) == to_config(problem)
    assert again.grid == problem.grid
    assert problem.grid[1].bc == "dirichlet"


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"wanted n >= 8.*Raise problem\.n"):
        DiffusionReaction(n=7)
    with pytest.raises(InputError, match="no other resolution"):
        DiffusionReaction(n=20, resolution=40)
