"""What every evolution problem must satisfy. A new problem adds a line to PROBLEMS."""

import pytest
import torch

from pdeops.config import from_config, to_config
from pdeops.grid import Axis, Grid
from pdeops.norms import Sobolev
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper

PROBLEMS = {
    "burgers1d": lambda frames, dt: Burgers1D(
        n=24, horizon=0.4, frames=frames, viscosity=2e-3, solver=Stepper(dt=dt / 5)
    ),
    "ns2d": lambda frames, dt: NavierStokes2D(n=24, horizon=2.0, frames=frames, viscosity=2e-4, solver=Stepper(dt=dt)),
}


@pytest.fixture(params=PROBLEMS)
def make(request):
    return PROBLEMS[request.param]


def test_samples_depend_on_seed_and_index_alone(make):
    problem = make(4, 0.05)
    batch = problem.sample(range(5), seed=3)
    assert batch.dtype == torch.float64
    assert torch.equal(problem.sample([3], seed=3), batch[3:4])
    assert not torch.equal(problem.sample([3], seed=4), batch[3:4])
    assert not torch.equal(batch[0], batch[1])


def test_the_residual_of_the_solution_vanishes_at_sixth_order(make):
    """The snapshots' distance is the only error left: halving it divides the residual by 2^6."""
    residuals = []
    for frames in (16, 32):
        problem = make(frames, 2e-3)
        residuals.append(float(problem.solve(problem.sample([0], 0)).residual[0]))
    assert torch.log2(torch.tensor(residuals[0] / residuals[1])) == pytest.approx(6, abs=0.6)


def test_the_residual_sees_an_error_in_proportion(make):
    problem = make(40, 0.02)
    a = problem.sample([1], 0)
    u = problem.solve(a).u
    norm = Sobolev(problem.grid, -1)
    t = problem.grid[0].points().view(-1, *(1,) * problem.grid.space.ndim)
    bump = torch.sin(2 * torch.pi * problem.grid.space.points().sum(-1)) * t

    def residual(size):
        return float(norm(problem.residual(a, u + size * bump, problem.grid)))

    assert residual(1e-2) / residual(1e-3) == pytest.approx(10, rel=0.05)
    assert residual(1e-3) > 100 * residual(0)
    frozen = a.unsqueeze(2).expand_as(u)
    assert float(norm(problem.residual(a, frozen, problem.grid))) > 1000 * residual(0)


def test_the_solution_converges_in_time(make):
    solutions = [make(2, dt).solve(make(2, dt).sample([0], 0)).u for dt in (0.1, 0.05, 0.0125)]
    errors = [(u - solutions[-1]).norm() for u in solutions[:2]]
    assert torch.log2(errors[0] / errors[1]) > 1.9


def test_the_error_estimate_is_one(make):
    """The step-halving error bounds the error against a much finer solution."""
    coarse, fine = make(2, 0.1), make(2, 0.005)
    a = coarse.sample([0, 1], 0)
    solution, reference = coarse.solve(a), fine.solve(a).u
    error = (solution.u - reference).flatten(1).norm(dim=1) / reference.flatten(1).norm(dim=1)
    assert (error < solution.error).all()
    assert (solution.error < 40 * error).all()  # a fourth-order scheme gives 15 in the limit


def test_the_residual_is_differentiable(make):
    problem = make(7, 0.1)
    a = problem.sample([0], 0)
    u = problem.solve(a).u.requires_grad_()
    grid = problem.grid
    problem.residual(a, u, grid).square().sum().backward()
    assert u.grad.isfinite().all()
    assert u.grad.abs().sum() > 0


def test_float32_and_another_grid(make):
    problem = make(7, 0.1)
    grid = Grid((Axis("time", 4, 1.0, "uniform"), *problem.grid.space.resized((20, 26)[: problem.grid.space.ndim])))
    u = torch.randn(2, len(problem.out_names), *grid.shape)
    r = problem.residual(u[:, :, 0], u, grid)
    assert r.dtype == torch.float32
    torch.testing.assert_close(
        r.double(), problem.residual(u[:, :, 0].double(), u.double(), grid), rtol=1e-3, atol=1e-2
    )


def test_written_down_and_built_again(make):
    problem = make(4, 0.05)
    again = from_config(to_config(problem))
    assert to_config(again) == to_config(problem)
    assert again.grid == problem.grid
