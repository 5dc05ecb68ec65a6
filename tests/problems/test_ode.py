"""What every system of ordinary differential equations must satisfy. A new one adds a line to PROBLEMS."""

from dataclasses import dataclass

import pytest
import torch

from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Lp
from pdeops.problems.air_path import AirPath
from pdeops.problems.antiderivative import Antiderivative
from pdeops.problems.controlled_ode import ControlledOde
from pdeops.problems.lorenz63 import Lorenz63
from pdeops.problems.ode import Ode
from pdeops.problems.pendulum import Pendulum
from pdeops.problems.processes import Commands, GaussianProcess, RandomSines
from pdeops.solvers.steppers import Diverged, Stepper

PROBLEMS = {
    "antiderivative": (Antiderivative, {"controls": GaussianProcess(width=0.4)}),
    "pendulum": (Pendulum, {"k": 4.0, "controls": GaussianProcess(width=0.4)}),
    "controlled_ode": (ControlledOde, {"horizon": 0.5, "controls": RandomSines(terms=4, frequency=4.0)}),
    "lorenz63": (Lorenz63, {"horizon": 0.2}),
    "air_path": (AirPath, {"horizon": 0.05, "controls": Commands(channels=3, of=GaussianProcess(width=0.4))}),
}


@pytest.fixture(params=PROBLEMS)
def make(request):
    """A problem on n nodes that is integrated in `steps` equal steps between two of them."""
    cls, settings = PROBLEMS[request.param]
    horizon = settings.get("horizon", 1.0)
    return lambda n=25, steps=8: cls(n=n, solver=Stepper(dt=horizon / (n - 1) / steps), **settings)


def test_samples_depend_on_seed_and_index_alone(make):
    problem = make()
    batch = problem.sample(range(5), seed=3)
    assert batch.dtype == torch.float64
    assert batch.shape == (5, len(problem.in_names), 25)
    assert torch.equal(problem.sample([3], seed=3), batch[3:4])
    assert not torch.equal(problem.sample([3], seed=4), batch[3:4])
    assert not torch.equal(batch[0], batch[1])
    torch.testing.assert_close(make(49).sample(range(5), seed=3)[..., ::2], batch, rtol=1e-9, atol=1e-9)


def test_t_is_an_axis_of_the_grid_but_no_time_axis(make):
    problem = make()
    assert problem.grid.names == ("t",)
    assert problem.grid.time is None
    solution = problem.solve(problem.sample(range(2), 0))
    assert solution.u.shape == (2, len(problem.out_names), 25)
    assert solution.converged.all()
    torch.testing.assert_close(
        solution.u[..., 0], problem.start(problem.sample(range(2), 0))[..., 0].expand(2, len(problem.out_names))
    )


def test_the_residual_of_the_solution_vanishes_at_sixth_order(make):
    """The nodes' distance is the only error left: halving it divides the residual by 2^6."""
    residuals = [make(n).solve(make(n).sample(range(8), 0)).residual.mean() for n in (49, 97)]
    assert torch.log2(residuals[0] / residuals[1]) == pytest.approx(6, abs=0.6)


def test_the_residual_sees_an_error_in_proportion(make):
    problem = make(97)
    a = problem.sample([1], 0)
    u = problem.solve(a).u
    t = problem.grid[0].points()
    norm = Lp(problem.grid)

    def residual(size):
        return norm(problem.residual(a, u + size * torch.sin(3 * t), problem.grid)).amin()

    assert residual(1e-2) / residual(1e-3) == pytest.approx(10, rel=0.05)
    assert residual(1e-3) > 100 * norm(problem.residual(a, u, problem.grid)).amax()


def test_the_error_estimate_is_one(make):
    """The step-halving error bounds the error against a much finer solution."""
    coarse = make(steps=2)
    a = coarse.sample(range(4), 0)
    solution, reference = coarse.solve(a), make(steps=16).solve(a).u
    norm = Lp(coarse.grid)
    error = (norm(solution.u - reference) / norm(reference)).amax(1)
    assert (error < solution.error).all()
    assert (solution.error < 100 * error).all()  # a fourth-order method gives 15 in the limit


def test_the_residual_is_differentiable(make):
    problem = make()
    a = problem.sample(range(2), 0)
    u = problem.solve(a).u.requires_grad_()
    problem.residual(a, u, problem.grid).square().sum().backward()
    assert u.grad.isfinite().all()
    assert (u.grad != 0).any(dim=-1).all()


def test_float32_and_another_grid(make):
    problem = make()
    grid = Grid((Axis("t", 18, problem.horizon, "chebyshev"),))
    a, u = torch.rand(2, len(problem.in_names), 18), torch.rand(2, len(problem.out_names), 18)
    r = problem.residual(a, u, grid)
    assert r.dtype == torch.float32
    exact = problem.residual(a.double(), u.double(), grid)
    assert (r - exact).abs().max() < 1e-5 * exact.abs().max()
    assert problem.solve(problem.sample([0], 0).float()).u.dtype == torch.float64


def test_constrain_imposes_the_initial_state_alone(make):
    problem = make()
    a = problem.sample(range(2), 0)
    u = torch.randn(2, len(problem.out_names), 25)
    constrained = problem.constrain(a, u, problem.grid)
    assert constrained.dtype == torch.float32
    assert torch.equal(constrained[..., 1:], u[..., 1:])
    assert torch.equal(constrained[..., :1], problem.start(a).float().expand(2, -1, 1))
    later = Grid((Axis("t", 25, 1.0, "right"),))
    assert torch.equal(problem.constrain(a, u, later), u)


def test_written_down_and_built_again(make):
    problem = make(31)
    again = from_config(to_config(problem))
    assert to_config(again) == to_config(problem)
    assert again.grid == problem.grid
    assert torch.equal(again.sample([7], 1), problem.sample([7], 1))
    assert set(problem.parameters) == set(problem.coefficients)


@dataclass(kw_only=True, eq=False)
class Blowup(Ode):
    """s' = -2 s + s^2 + a(t) + t, whose linear part is the stepper's; from s(0) = a(0)."""

    name = "blowup"
    in_names = ("a",)
    out_names = ("s",)

    def sample(self, indices, seed):
        raise NotImplementedError

    def start(self, a):
        return a[:, :, :1]

    def linear(self):
        return (-2.0,)

    def nonlinear(self, s, a, t):
        return s.square() + a + t


def test_time_enters_where_it_should():
    """A solution chosen beforehand, s = cos(3 t), with the control that makes it one."""
    problem = Blowup(n=81, solver=Stepper(dt=2e-3))
    t = problem.grid[0].points()
    s = torch.cos(3 * t)
    control = -3 * torch.sin(3 * t) + 2 * s - s.square() - t
    solution = problem.solve(control.view(1, 1, -1) + 0 * s)
    assert control[0] == s[0]  # as the start wants it
    torch.testing.assert_close(solution.u[0, 0], s, rtol=0, atol=1e-9)
    assert solution.residual < 1e-6


def test_a_solution_that_blows_up_is_named():
    problem = Blowup(horizon=3.0, solver=Stepper(dt=0.01))
    a = torch.tensor([0.0, 40.0]).view(2, 1, 1).expand(2, 1, 100)
    with pytest.raises(Diverged, match="sample 1: the solution is no longer finite at time"):
        problem.solve(a)


def test_controls_that_are_not_finite_are_named():
    problem = Antiderivative(solver=Stepper(dt=0.01))
    a = torch.zeros(2, 1, 100)
    a[1, 0, 50] = torch.nan
    with pytest.raises(Diverged, match="sample 1"):
        problem.solve(a)


def test_what_does_not_fit_is_refused():
    problem = Antiderivative(n=20)
    with pytest.raises(InputError, match=r"problem.n=6, problem.horizon=1.0: wanted n >= 7"):
        Antiderivative(n=6)
    with pytest.raises(InputError, match="positive, finite horizon"):
        Antiderivative(horizon=0.0)
    with pytest.raises(InputError, match="does not end in the grid's shape"):
        problem.solve(torch.zeros(1, 1, 21))
    with pytest.raises(InputError, match="7 or more nodes along t"):
        problem.residual(torch.zeros(1, 1, 6), torch.zeros(1, 1, 6), problem.grid.resized((6,)))
    with pytest.raises(InputError, match="nodes along t"):
        problem.residual(torch.zeros(1, 1, 20), torch.zeros(1, 1, 20), Grid((Axis("x", 20, 1.0, "uniform"),)))
