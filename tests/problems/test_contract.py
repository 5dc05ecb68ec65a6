"""What every evolution problem must satisfy. A new problem adds a line to PROBLEMS."""

import inspect
from importlib import import_module
from pathlib import Path

import pytest
import torch

import pdeops.problems
from pdeops.config import from_config, to_config
from pdeops.grid import Axis, Grid
from pdeops.norms import Sobolev
from pdeops.problems.advection1d import Advection1D
from pdeops.problems.allen_cahn import AllenCahn
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.evolution import Evolution
from pdeops.problems.gray_scott import GrayScott
from pdeops.problems.inputs import Matern, PeriodicKernel, Spots, UnitRange
from pdeops.problems.kdv import KortewegDeVries
from pdeops.problems.kolmogorov import KolmogorovFlow
from pdeops.problems.kuramoto_sivashinsky import KuramotoSivashinsky, KuramotoSivashinsky2D
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.ns2d_velocity import NavierStokes2DVelocity
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.problems.shallow_water import ShallowWater
from pdeops.problems.vorticity import Kolmogorov
from pdeops.solvers.schemes import SCHEMES
from pdeops.solvers.steppers import Diverged, Stepper

SMOOTH = PeriodicKernel(width=0.5)
# small, smooth, and over a horizon in which the nonlinearity shows
PROBLEMS = {
    "advection1d": (Advection1D, {"n": 24, "horizon": 0.3, "initial": SMOOTH}),
    "allen_cahn": (AllenCahn, {"n": 24, "horizon": 0.4, "diffusivity": 5e-3, "initial": SMOOTH}),
    "burgers1d": (
        Burgers1D,
        {"n": 24, "horizon": 0.4, "viscosity": 2e-3, "initial": Matern(variance=625.0, tau=5.0, alpha=3.0)},
    ),
    "gray_scott": (GrayScott, {"n": 20, "horizon": 20.0, "initial": Spots(count=2, width=0.3)}),
    "kdv": (KortewegDeVries, {"n": 24, "horizon": 0.2, "dispersion": 1e-3, "initial": SMOOTH}),
    "kolmogorov": (
        KolmogorovFlow,
        {
            "n": 20,
            "start": 0.25,
            "horizon": 0.5,
            "resolution": None,
            "reynolds": 100.0,
            "initial": SMOOTH,
            "forcing": Kolmogorov(wavenumber=1),
        },
    ),
    "kuramoto_sivashinsky": (
        KuramotoSivashinsky,
        {"n": 24, "length": 22.0, "start": 1.0, "horizon": 2.0, "initial": SMOOTH},
    ),
    "kuramoto_sivashinsky2d": (
        KuramotoSivashinsky2D,
        {"n": 16, "length": 12.0, "start": 0.2, "horizon": 0.4, "initial": SMOOTH},
    ),
    "ns2d": (NavierStokes2D, {"n": 20, "horizon": 1.0, "viscosity": 2e-4, "initial": SMOOTH}),
    "ns2d_velocity": (NavierStokes2DVelocity, {"n": 20, "horizon": 1.0, "viscosity": 2e-4, "initial": SMOOTH}),
    "reaction_diffusion": (
        ReactionDiffusion,
        {"n": 24, "start": 0.25, "horizon": 0.5, "initial": UnitRange(of=SMOOTH)},
    ),
    "shallow_water": (
        ShallowWater,
        {"n": 16, "horizon": 0.1, "viscosity": 1e-2, "initial": PeriodicKernel(width=1.0, amplitude=0.1)},
    ),
}


def classes():
    for path in Path(pdeops.problems.__file__).parent.glob("*.py"):
        for cls in vars(import_module(f"pdeops.problems.{path.stem}")).values():
            if inspect.isclass(cls) and issubclass(cls, Evolution) and not inspect.isabstract(cls):
                yield cls


def test_every_evolution_on_a_torus_is_here():
    periodic = {cls for cls in classes() if cls.basis is Evolution.basis}
    assert {cls for cls, _ in PROBLEMS.values()} == periodic


@pytest.fixture(params=PROBLEMS)
def make(request):
    cls, settings = PROBLEMS[request.param]
    return lambda frames=4, **solver: cls(**settings, frames=frames, solver=Stepper(**{"tolerance": 1e-10} | solver))


def test_samples_depend_on_seed_and_index_alone(make):
    problem = make()
    batch = problem.sample(range(5), seed=3)
    assert batch.dtype == torch.float64
    assert batch.shape == (5, len(problem.in_names), *problem.solved_on.shape)
    assert torch.equal(problem.sample([3], seed=3), batch[3:4])
    assert not torch.equal(problem.sample([3], seed=4), batch[3:4])
    assert not torch.equal(batch[0], batch[1])


def test_the_residual_of_the_solution_vanishes_at_sixth_order(make):
    """The snapshots' distance is the only error left: halving it divides the residual by 2^6."""
    residuals = []
    for frames in (12, 24):
        problem = make(frames)
        solution = problem.solve(problem.sample([0], 0))
        assert solution.converged.all()
        residuals.append(float(solution.residual[0]))
    assert 5.3 < torch.log2(torch.tensor(residuals[0] / residuals[1])) < 8  # more: the ends' one-sided formulas


def test_the_residual_sees_an_error_in_proportion(make):
    problem = make(40)
    a = problem.sample([1], 0)
    u = problem.solve(a).u
    norm = Sobolev(problem.grid, -1)
    t = (problem.grid[0].points() - problem.start).view(-1, *(1,) * problem.grid.space.ndim)
    phase = 2 * torch.pi / problem.length * problem.grid.space.points().sum(-1)
    bump = torch.sin(phase) * t / problem.horizon

    def residual(size):
        return norm(problem.residual(a, u + size * bump, problem.grid)).amax(1).item()

    size = 1e-3 * float(u.abs().max())
    assert residual(size) / residual(size / 10) == pytest.approx(10, rel=0.1)
    assert residual(size / 10) > 50 * residual(0)
    frozen = u[:, :, :1].expand_as(u)
    assert residual(0) < 1e-3 * norm(problem.residual(a, frozen, problem.grid)).amax(1).item()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_solution_converges_in_time(make, scheme):
    """Equal steps against a solution of high accuracy: at the order of the scheme, or better."""
    order = SCHEMES[scheme].order
    reference = make(1)
    a = reference.sample([0], 0)
    exact = reference.solve(a).u
    small = {1: 1e-2, 2: 1e-3, 3: 1e-5, 4: 1e-6}[order]  # an error at which the order shows
    errors = []
    for pairs in (2**k for k in range(2, 12)):
        problem = make(1, scheme=scheme, dt=reference.horizon / (2 * pairs) * (1 + 1e-9), tolerance=1e9)
        try:
            errors.append(float((problem.solve(a).u - exact).norm() / exact.norm()))
        except Diverged:
            errors.append(float("inf"))
        if len(errors) > 1 and errors[-2] < small:
            break
    assert errors[-2] < small
    if errors[-2] > 1e-9:  # exponential schemes are exact on linear problems
        assert errors[-2] / errors[-1] > 0.7 * 2**order  # one order less gives 0.5


def test_the_error_estimate_is_one(make):
    """The step-halving error bounds the error against a much finer solution."""
    fine = make(2)
    coarse = make(2, tolerance=1e-5)
    a = coarse.sample([0, 1], 0)
    solution, reference = coarse.solve(a), fine.solve(a).u
    assert solution.converged.all()
    error = (solution.u - reference).flatten(2).norm(dim=2) / reference.flatten(2).norm(dim=2)
    assert (error.amax(1) <= 1.1 * solution.error + 1e-10).all()


def test_the_solution_converges_in_space(make):
    """On a lattice of three halves of the nodes the same function evolves alike, up to what the coarse one lacks."""
    coarse = make(1)
    cls, settings = type(coarse), {k: getattr(coarse, k) for k in inspect.signature(type(coarse)).parameters}
    found = {}
    for n in (12, coarse.n, 3 * coarse.n // 2, 2 * coarse.n):
        problem = cls(**settings | {"n": n, "resolution": None, "solver": Stepper(tolerance=1e-8)})
        found[n] = Grid.periodic((12,) * problem.dimensions, problem.length), problem.solve(problem.sample([0], 0)).u
    common = {
        n: problem_basis.to_values(problem_basis.to_modes(u[:, :, -1]), space)
        for n, (space, u) in found.items()
        for problem_basis in [coarse.basis(space)]
    }
    finest = common[2 * coarse.n]
    errors = [float((common[n] - finest).norm() / finest.norm()) for n in (12, coarse.n, 3 * coarse.n // 2)]
    assert errors[1] < max(errors[0] / 5, 1e-7)
    assert errors[2] < max(errors[1] / 3, 1e-7)


def test_products_are_free_of_aliasing(make):
    """N(u) of all modes of a lattice is the projection of N(u) on one of four times the nodes."""
    problem = make()
    space = problem.grid.space
    a = torch.randn(1, len(problem.out_names), *space.shape, dtype=torch.float64)
    u = problem.basis(space).to_values(problem.basis(space).to_modes(a))
    found = []
    for n in (problem.n, 4 * problem.n):
        basis = problem.basis(space.resized((n,) * space.ndim))
        found.append(basis.to_values(problem.nonlinear(basis, a)(basis.to_modes(u)), space))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-12 * float(1 + found[1].abs().max()))


def test_the_residual_is_differentiable(make):
    problem = make(7)
    a = problem.sample([0], 0)
    u = problem.solve(a).u.requires_grad_()
    problem.residual(a, u, problem.grid).square().sum().backward()
    assert u.grad.isfinite().all()
    assert u.grad.abs().sum() > 0


def test_float32_and_another_grid(make):
    problem = make(7)
    grid = Grid((Axis("time", 4, 1.0, "uniform"), *problem.grid.space.resized((20, 26)[: problem.grid.space.ndim])))
    u = 0.1 * torch.randn(2, len(problem.out_names), *grid.shape)
    r = problem.residual(u[:, :, 0], u, grid)
    assert r.dtype == torch.float32
    double = problem.residual(u[:, :, 0].double(), u.double(), grid)
    assert (r.double() - double).norm() < 1e-4 * double.norm()


def test_written_down_and_built_again(make):
    problem = make()
    again = from_config(to_config(problem))
    assert to_config(again) == to_config(problem)
    assert again.grid == problem.grid
