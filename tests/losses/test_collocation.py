"""Residuals on a model's own lattice."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.residual import Residual
from pdeops.models.fno import FNO
from pdeops.norms import Lp
from pdeops.problems.air_path import AirPath
from pdeops.problems.antiderivative import Antiderivative
from pdeops.problems.diffusion_reaction import DiffusionReaction
from pdeops.problems.poisson import Poisson
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.solvers.steppers import Stepper
from pdeops.window import Batch, Window

POISSON = SpectralPoisson(n=24, nodes="chebyshev", source=GaussianProcess())
WALLS = Window().on(POISSON.grid, ("u",), ("source",))
FINE = POISSON.grid.resized((40, 36))


def bubble(grid):
    x, y = grid.points().unbind(-1)
    return (x * (1 - x) * y * (1 - y) * (1 + 4 * x - y**2))[None, None]


def posed():
    """An input on the window's nodes, the solution on the finer lattice, an error there."""
    a = POISSON.sample([0], 0)
    fine = SpectralPoisson(n=40, nodes="chebyshev", source=GaussianProcess())
    truth = fine.solve(fine.sample([0], 0)).u
    grid = fine.grid
    return a, truth, grid, 0.3 * bubble(grid)


def test_the_inputs_are_taken_to_the_lattice():
    """The truth of a finer lattice has no residual there, though its input is known on the window's alone."""
    a, truth, grid, error = posed()
    loss = Residual(WALLS, problem=POISSON, s=-2, alpha=0, collocation=grid)
    assert float(loss(truth, Batch(a, out=grid))) < 1e-8
    assert float(loss(truth + error, Batch(a, out=grid))) == pytest.approx(float(Lp(grid)(error)), rel=1e-3)
    assert loss(truth.float(), Batch(a.float(), out=grid)).dtype == torch.float64


def test_a_relative_residual_is_a_relative_error():
    a, truth, grid, error = posed()
    loss = Residual(WALLS, problem=POISSON, s=-2, alpha=0, relative=True, collocation=grid)
    expected = float(Lp(grid)(error) / Lp(grid)(truth))
    assert float(loss(truth + error, Batch(a, out=grid))) == pytest.approx(expected, rel=1e-3)
    assert float(loss(torch.zeros_like(truth), Batch(a, out=grid))) == pytest.approx(1)


def test_the_scale_is_that_of_solutions():
    a = POISSON.sample(range(16), 0)
    size = float(POISSON.solve(a).u.std())
    for grid in (FINE, None):
        loss = Residual(WALLS, problem=POISSON, s=-2, alpha=0, collocation=grid)
        assert loss.scale(a) == pytest.approx(size, rel=0.3)
        assert loss.scale(3 * a) == pytest.approx(3 * loss.scale(a))
    two = Window().on(POISSON.grid, ("u",), ("source",))
    assert Residual(two, problem=POISSON, s=-1, alpha=0).scale(a) == pytest.approx(size, rel=0.8)


def test_of_an_evolution_time_has_the_lattice_nodes():
    """The truth there: its strong residual falls as polynomials converge; asked elsewhere, frames are differenced."""
    problem = ReactionDiffusion(n=32, frames=16, solver=Stepper(dt=0.005))
    window = Window(n_out=16, history="time").on(problem.grid, ("u",), ())
    a = problem.sample([0], 0)
    found = []
    for n in (8, 16, 32):
        grid = Grid([Axis("time", n, 1.0, "chebyshev"), *problem.grid.space])
        u = problem.flow(a, a, grid[0].points())[0]
        found.append(float(Residual(window, problem=problem, collocation=grid)(u, Batch(a.unsqueeze(2), out=grid))))
    assert found[0] > 10 * found[1] > 100 * found[2]
    frames = problem.solve(a).u
    loss = Residual(window, problem=problem, collocation=grid)
    held = a.unsqueeze(2).expand_as(u)
    relative = Residual(window, problem=problem, collocation=grid, relative=True)
    assert float(relative(held, Batch(a.unsqueeze(2), out=grid))) == pytest.approx(1)
    assert float(loss(held, Batch(a.unsqueeze(2), out=grid))) > 100 * found[2]
    plain = Residual(window, problem=problem)
    assert float(plain(frames[:, :, 1:], Batch(a.unsqueeze(2)))) < 0.1


def test_the_published_sum_of_coefficients():
    a, truth, grid, _ = posed()
    loss = Residual(WALLS, problem=POISSON, s="coefficients", collocation=grid)
    assert float(loss(truth, Batch(a, out=grid))) < 1e-6
    with pytest.raises(InputError, match="coefficients"):
        Residual(WALLS, problem=POISSON, s="sum")


@pytest.mark.parametrize("nodes", ["chebyshev", "periodic"])
def test_grid_models_are_asked_on_their_own_nodes(nodes):
    """A known wave on the lattice of an FNO: its spectral residual is exact, with walls and on a torus, in the norm
    that a model with a lattice of its own gets."""
    problem = SpectralPoisson(n=24, nodes=nodes, source=GaussianProcess())
    window = Window().on(problem.grid, ("u",), ("source",))
    model = FNO(1, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
    assert not hasattr(model, "collocation")
    x, y = problem.grid.points().unbind(-1)
    u = (torch.sin(2 * pi * x) * torch.sin(4 * pi * y))[None, None]
    loss = Residual(window, problem=problem, s=-1, alpha=1)
    assert float(loss(u, Batch(20 * pi**2 * u))) < 1e-9
    assert float(loss(0 * u, Batch(20 * pi**2 * u))) == pytest.approx(10 * pi**2 / (1 + 20 * pi**2) ** 0.5, rel=1e-4)


def test_frames_in_channels_are_differenced_on_their_own_nodes():
    """A model of space alone may have a lattice, too; it is not one of the trajectory."""
    problem = ReactionDiffusion(n=32, frames=4)
    window = Window(n_out=2).on(problem.grid, ("u",), ("u",))
    lattice, a = problem.grid.space.resized((12,)), problem.sample([0, 1], 0)
    u = window.stack(problem.solve(a).u[:, :, 1:3])
    for mild in (False, True):
        plain = Residual(window, problem=problem, mild=mild)
        lattices = Residual(window, problem=problem, mild=mild, collocation=lattice)
        assert lattices.collocation is None
        assert float(lattices(u, Batch(a))) == float(plain(u, Batch(a)))


def test_finite_volumes_are_balanced_on_their_own_nodes():
    problem = Poisson(n=17, resolution=17)
    window = Window().on(problem.grid, ("u",), problem.in_names)
    lattice = Grid(Axis(x, 12, 1.0, "chebyshev", bc="dirichlet") for x in "xy")
    loss, a = Residual(window, problem=problem, collocation=lattice), problem.sample([0], 0)
    assert loss.collocation is None
    assert float(loss(problem.solve(a).u, Batch(a))) < 1e-6


def test_initial_values_are_imposed_on_the_lattice():
    """A constant has no slope; s(0) = 0 makes one."""
    problem = Antiderivative()
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    lattice = Grid([Axis("t", 16, problem.grid[0].length, "chebyshev")])
    loss, still = Residual(window, problem=problem, collocation=lattice), torch.zeros(1, 1, *problem.grid.shape)
    u = torch.ones(1, 1, 16)
    assert float(loss(0 * u, Batch(still, out=lattice))) == 0
    assert float(loss(u, Batch(still, out=lattice))) > 1


def test_a_scale_that_does_not_follow_is_refused():
    problem = AirPath()
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    with pytest.raises(InputError, match="how large solutions are"):
        Residual(window, problem=problem).scale(problem.sample([0, 1], 0))


@pytest.mark.parametrize("history", ["time", "channel"])
@pytest.mark.parametrize("mild", [False, True])
def test_an_evolution_from_rest_has_the_scale_that_its_source_gives(mild, history):
    problem = DiffusionReaction(n=24, frames=16)
    window = Window(n_out=16, history=history).on(problem.grid, problem.out_names, problem.given)
    a = problem.sample(range(16), 0)
    loss, states = Residual(window, problem=problem, mild=mild), a[:, :1].unsqueeze(2)
    inputs = window.make_input(states, a[:, 1:])
    scale, truth = loss.scale(inputs), float(problem.solve(a).u.std())
    assert scale == pytest.approx(truth, rel=0.4)
    assert loss.scale(2 * inputs) == pytest.approx(2 * scale, rel=0.1)


def test_with_data_on_walls_the_scale_is_that_of_what_is_added_to_them():
    sides = {"conditions": {"y": [[1.0, 0.25], [1.0, 0.25]]}, "boundary": GaussianProcess(width=0.5)}
    problem = SpectralPoisson(n=24, nodes="chebyshev", source=GaussianProcess(), **sides)
    window = Window().on(problem.grid, ("u",), problem.in_names)
    a = problem.sample(range(16), 0)
    found = Residual(window, problem=problem, s=-2).scale(a)
    added = problem.solve(a).u - problem.constrain(a, torch.zeros_like(a[:, :1]), problem.grid)
    assert found == pytest.approx(float(added.std()), rel=0.3)
