"""Losses against closed forms."""

from math import inf, pi, sqrt

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.residual import Residual
from pdeops.losses.supervised import MeanSquare, RelativeH1, RelativeLp, RelativeSobolev
from pdeops.norms import Sobolev
from pdeops.problems.advection1d import Advection1D
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.solvers.steppers import Stepper
from pdeops.window import Batch, Window

SPACE = Grid.periodic((16, 16))
STEADY = Window().on(SPACE, ("u",), ("a",))


def wave(k):
    return torch.sin(2 * pi * k * SPACE.points()[..., 0])[None, None]


def test_relative_lp_is_per_sample_and_channel_then_averaged():
    v = torch.cat([wave(1), 100 * wave(2)])
    u = v * torch.tensor([1.1, 1.3]).view(2, 1, 1, 1)
    loss = RelativeLp(STEADY)(u, Batch(v, v))
    assert float(loss) == pytest.approx(0.2)
    assert float(RelativeLp(STEADY)(torch.zeros_like(v), Batch(v, v))) == pytest.approx(1.0)


@pytest.mark.parametrize("s", [-1, 0, 1])
def test_relative_sobolev_weighs_waves(s):
    v, e = wave(1), 0.1 * wave(5)
    expected = 0.1 * sqrt((1 + (10 * pi) ** 2) / (1 + (2 * pi) ** 2)) ** s
    assert float(RelativeSobolev(STEADY, s=s)(v + e, Batch(v, v))) == pytest.approx(expected)


def test_relative_h1_takes_the_norm_of_the_grid():
    v, e = wave(1), 0.1 * wave(5)
    by_parseval = RelativeSobolev(STEADY, s=1, alpha=3.0)(v + e, Batch(v, v))
    assert float(RelativeH1(STEADY, alpha=3.0)(v + e, Batch(v, v))) == pytest.approx(float(by_parseval))
    axes = [Axis(name, 16, 1.0, "uniform") for name in "xy"]
    walls = Window().on(Grid(axes), ("u",), ("a",))
    x, y = walls.grid_out.points().unbind(-1)
    linear = (2 * x + y).expand(1, 1, 16, 16)
    expected = sqrt(5 / (5 + float((walls.grid_out.weights() * (2 * x + y) ** 2).sum())))
    shifted = linear + 1  # an error without a slope
    assert float(RelativeH1(walls)(shifted, Batch(linear, linear))) == pytest.approx(expected / sqrt(5))


def test_a_vanishing_reference_is_measured_absolutely():
    zero = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    loss = RelativeLp(STEADY)(0.5 * wave(1), Batch(zero, zero))
    assert float(loss) == pytest.approx(0.5 * sqrt(0.5))


def test_supervision_needs_a_reference():
    with pytest.raises(InputError, match="loss=residual"):
        RelativeLp(STEADY)(wave(1), Batch(wave(1)))


@pytest.mark.parametrize("history", ["channel", "time"])
def test_the_residual_loss_vanishes_on_the_solution_alone(history):
    problem = NavierStokes2D(n=16, horizon=1.0, frames=10, viscosity=1e-3, solver=Stepper(dt=0.01))
    u = problem.solve(problem.sample([0, 1], 0)).u
    window = Window(n_in=3, n_out=8, history=history).on(problem.grid, ("vorticity",), ())
    loss = Residual(window, problem=problem)
    a, future = window.make_input(u[:, :, :3]), window.stack(u[:, :, 3:])
    on_solution = float(loss(future, Batch(a)))
    assert on_solution < 1e-6
    assert float(loss(1.01 * future, Batch(a))) > 100 * on_solution


def test_the_residual_loss_needs_a_problem():
    with pytest.raises(InputError, match="problem=null"):
        Residual(STEADY, problem=None)


def test_losses_live_on_the_output_grid():
    window = Window(n_in=2, n_out=3, history="time").on(Grid((Axis("time", 6, 5.0, "uniform"), *SPACE)), ("u",), ())
    v = torch.ones(2, 1, 3, 16, 16)
    assert float(RelativeLp(window)(1.5 * v, Batch(v, v))) == pytest.approx(0.5)


def every(stride):
    return STEADY.grid_out.every(stride)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_losses_on_a_part_of_the_nodes_are_those_of_the_function(stride):
    """Against a vanishing reference they are norms: exact on every lattice, by its own weights and wavenumbers."""
    u = wave(1)[every(stride)]
    assert u.shape[-1] == 16 // stride
    zero = Batch(u, torch.zeros_like(u))
    assert float(RelativeLp(STEADY)(u, zero)) == pytest.approx(sqrt(1 / 2))
    h1 = sqrt((3 + (2 * pi) ** 2) / 2)
    assert float(RelativeH1(STEADY, alpha=3.0)(u, zero)) == pytest.approx(h1)
    assert float(RelativeSobolev(STEADY, s=1, alpha=3.0)(u, zero)) == pytest.approx(h1)


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_losses_between_walls_take_the_weights_of_their_nodes(stride):
    window = Window().on(Grid(Axis(name, 17, 1.0, "uniform") for name in "xy"), ("u",), ("a",))
    u = window.grid_out.points()[..., 0][None, None][window.grid_out.every(stride)]  # u = x
    square = 1 / 3 + (stride / 16) ** 2 / 6  # of x, by the trapezoidal rule
    zero = Batch(u, torch.zeros_like(u))
    assert float(RelativeLp(window)(u, zero)) == pytest.approx(sqrt(square))
    assert float(RelativeH1(window, alpha=2.0)(u, zero)) == pytest.approx(sqrt(2 * square + 1))


def test_a_time_axis_keeps_its_frames_on_a_part_of_the_nodes():
    window = Window(n_in=2, n_out=3, history="time").on(Grid((Axis("time", 6, 5.0, "uniform"), *SPACE)), ("u",), ())
    u = wave(1)[:, :, None].expand(1, 1, 3, 16, 16)[every(2)]
    assert float(RelativeLp(window)(u, Batch(u, torch.zeros_like(u)))) == pytest.approx(sqrt(3 / 2))
    with pytest.raises(InputError, match="does not end in the grid's shape"):
        RelativeLp(window)(u[:, :, :2], Batch(u, u[:, :, :2]))


@pytest.mark.parametrize("stride", [1, 2])
def test_residual_losses_on_a_part_of_the_nodes_are_those_of_the_function(stride):
    problem = SpectralPoisson(n=16, nodes="periodic")
    length = problem.grid[0].length
    f = torch.sin(2 * pi / length * problem.grid.points()[..., 0])[None, None][problem.grid.every(stride)]
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    expected = length * sqrt(1 / 2 / (1 + (2 * pi / length) ** 2))  # of f in H^-1, the residual of u = 0
    loss = Residual(window, problem=problem)
    assert float(loss(torch.zeros_like(f), Batch(f))) == pytest.approx(expected)
    assert float(loss(f / (2 * pi / length) ** 2, Batch(f))) < 1e-12


@pytest.mark.parametrize("s", [-2, -1, 0])
def test_residual_losses_between_walls_are_norms_of_the_error(s):
    """u = sin(pi x) sin(2 pi y): lambda^(1 + s / 2) times what is wrong with it; s=None is L2."""
    problem = SpectralPoisson(n=26, nodes="chebyshev")
    window = Window().on(problem.grid, problem.out_names, problem.in_names)
    x, y = problem.grid.points().unbind(-1)
    u = (torch.sin(pi * x) * torch.sin(2 * pi * y))[None, None]
    f = Batch(5 * pi**2 * u)
    for alpha in (0.0, 1.0):
        expected = 0.1 * 0.5 * 5 * pi**2 * (alpha + 5 * pi**2) ** (s / 2)
        loss = Residual(window, problem=problem, s=s, alpha=alpha)
        assert float(loss(0.9 * u, f)) == pytest.approx(expected, rel=1e-7)
    assert float(Residual(window, problem=problem)(0.9 * u, f)) == pytest.approx(0.1 * 0.5 * 5 * pi**2)


def test_p_and_alpha_reach_the_norm():
    v = wave(1)
    u = v.clone()
    u[0, 0, 3, 3] += 1
    assert float(RelativeLp(STEADY, p=1)(u, Batch(v, v))) == pytest.approx(float(1 / v.abs().sum()))
    ratio = sqrt((100 + (6 * pi) ** 2) / (100 + (2 * pi) ** 2))
    assert float(RelativeSobolev(STEADY, alpha=100.0)(v + wave(3), Batch(v, v))) == pytest.approx(ratio)


def test_residual_loss_is_the_mean_h_minus_1_norm():
    p = NavierStokes2D(n=16, horizon=1.0, frames=4)
    u = torch.randn(2, 1, 5, 16, 16, dtype=torch.float64)
    w = Window(n_in=2, n_out=3, history="time").on(p.grid, ("vorticity",), ())
    expected = Sobolev(p.grid, -1)(p.residual(u[:, :, 0], u, p.grid)).mean()
    torch.testing.assert_close(Residual(w, problem=p)(u[:, :, 2:], Batch(u[:, :, :2])), expected)


def travelling(frames):
    """u = sin(2 pi (x - t)) of the equation u_t + u_x = 0, at frames 0.3 apart: a series in time of period 1."""
    problem = Advection1D(n=16, speed=1.0, horizon=0.3 * (frames - 1), frames=frames - 1)
    t, x = problem.grid.points().unbind(-1)
    return problem, torch.sin(2 * pi * (x - t))[None, None]


@pytest.mark.parametrize("history", ["channel", "time"])
def test_a_models_own_series_is_differentiated_exactly(history):
    """Frames so far apart that differences see nothing; the history's earlier frames play no part."""
    problem, u = travelling(8)
    window = Window(n_in=3, n_out=5, history=history).on(problem.grid, ("u",), ())
    a, future = window.make_input(u[:, :, :3]), window.stack(u[:, :, 3:])
    by_differences, by_series = (Residual(window, problem=problem, ansatz=x) for x in (None, (1.0, 5, 0.0)))
    assert float(by_series(future, Batch(a))) < 1e-12
    assert float(by_differences(future, Batch(a))) > 0.1
    assert float(by_series(1.01 * future, Batch(a))) > 1e-3
    earlier = window.make_input(torch.cat([0 * u[:, :, :2], u[:, :, 2:3]], dim=2))
    assert float(by_series(future, Batch(earlier))) < 1e-12
    nodes = problem.grid.space.every(2)
    assert float(by_series(future[nodes], Batch(a[nodes]))) < 1e-12


def test_the_series_loss_is_the_norm_of_its_residual():
    """Of random frames, without the least squares of D: the series through as many frames as it has terms."""
    problem, _ = travelling(8)
    window = Window(n_in=2, n_out=4, history="time").on(problem.grid, ("u",), ())
    u = torch.randn(3, 1, 6, 16, dtype=torch.float64)
    t = 0.3 * torch.arange(5, dtype=torch.float64)
    angle = 2 * pi / 2.0 * torch.outer(t, torch.arange(1, 3, dtype=torch.float64))
    kappa = torch.tensor([pi, 2 * pi], dtype=torch.float64)
    columns = torch.cat([torch.ones(5, 1), angle.cos(), angle.sin()], dim=1)
    slopes = torch.cat([torch.zeros(5, 1), -kappa * angle.sin(), kappa * angle.cos()], dim=1)
    v = u[:, :, 1:]
    linear, nonlinear = problem.tendencies(u[:, :, 1], v, problem.grid.space)
    outside = v - problem.basis(problem.grid.space).to_values(problem.basis(problem.grid.space).to_modes(v))
    v_t = torch.einsum("st,bctx->bcsx", slopes @ torch.linalg.inv(columns), v - outside)
    grid = window.frames_grid(5)
    expected = Sobolev(grid, -1)(v_t - linear - nonlinear + outside / 0.3).mean()
    loss = Residual(window, problem=problem, ansatz=(2.0, 4, 0.0))
    torch.testing.assert_close(loss(u[:, :, 2:], Batch(u[:, :, :2])), expected)


def test_an_ansatz_wants_an_evolution_and_frames_enough():
    problem, _ = travelling(8)
    window = Window(n_in=2, n_out=4, history="time").on(problem.grid, ("u",), ())
    with pytest.raises(InputError, match="9 modes has 9 terms of period 2, which 5 nodes"):
        Residual(window, problem=problem, ansatz=(2.0, 9, 0.0))
    with pytest.raises(InputError, match="spectral_poisson, which is no evolution"):
        Residual(STEADY, problem=SpectralPoisson(n=16), ansatz=(2.0, 3, 0.0))
    for wrong in ((1.0, 2), (0.0, 3, 0.0), (1.0, 2.5, 0.0)):
        with pytest.raises(InputError, match=r"loss.ansatz=.*: wanted \[period, modes, start\]"):
            Residual(window, problem=problem, ansatz=wrong)
    with pytest.raises(InputError, match="leave it out"):
        Residual(window, problem=problem, ansatz=(2.0, 3, 0.0), collocation=window.grid_out)


POINTS = torch.rand(3, 2)


def test_losses_at_points_take_plain_means():
    """Of u - v = (1, 2, 0) and v = (3, 4, 0)."""
    v, e = torch.tensor([3.0, 4.0, 0.0]).expand(1, 1, 3), torch.tensor([1.0, 2.0, 0.0])
    batch = Batch(torch.zeros(1, 1, 16, 16), v, POINTS)
    assert float(RelativeLp(STEADY)(v + e, batch)) == pytest.approx(sqrt(5) / 5)
    assert float(RelativeLp(STEADY, p=1)(v + e, batch)) == pytest.approx(3 / 7)
    assert float(RelativeLp(STEADY, p=inf)(v + e, batch)) == pytest.approx(2 / 4)
    each = batch._replace(out=POINTS.unsqueeze(0))
    assert float(RelativeLp(STEADY)(v + e, each)) == pytest.approx(sqrt(5) / 5)
    box = Window().on(Grid((Axis("x", 4, 8.0),)), ("u",), ("a",))
    absolute = RelativeLp(box)(e.expand(1, 1, 3), Batch(v, 0 * v, POINTS[:, :1]))  # sqrt(8 mean |e|^2)
    assert float(absolute) == pytest.approx(sqrt(8 * 5 / 3))


def test_the_mean_square_is_of_the_domain_in_units_of_the_scale():
    box = Window().on(Grid((Axis("x", 5, 8.0, "uniform"),)), ("u", "v"), ("a",))
    v = torch.zeros(2, 2, 5)
    e = torch.tensor([4.0, 1.0, 1.0, 1.0, 4.0]) * torch.tensor([1.0, 10.0]).view(2, 1)  # mean square 19 / 4 and 475
    assert float(MeanSquare(box)(v + e, Batch(v, v))) == pytest.approx((4.75 + 475) / 2)
    assert float(MeanSquare(box, scale=[2.0, 10.0])(v + e, Batch(v, v))) == pytest.approx(4.75 * (1 / 4 + 1) / 2)
    at_points = Batch(v, v, torch.rand(5, 1))
    assert float(MeanSquare(box, scale=[1.0, 10.0])(v + e, at_points)) == pytest.approx(35 / 5)
    with pytest.raises(InputError, match=r"loss\.scale=\[1\.0, 0\.0\]: wanted 2 positive numbers"):
        MeanSquare(box, scale=[1.0, 0.0])


def test_losses_of_slopes_refuse_points():
    problem = SpectralPoisson(n=16)
    window = Window().on(problem.grid, ("u",), ("f",))
    for loss in (RelativeH1(window), RelativeSobolev(window), Residual(window, problem=problem)):
        with pytest.raises(InputError, match="not values at points: take loss=l2"):
            loss(torch.zeros(1, 1, 3), Batch(torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 3), POINTS))


def test_a_scale_that_validation_has_moved_serves_training():
    """To another device, here one without values."""
    loss = MeanSquare(Window().on(Grid.periodic((4,)), ["u"], ["u"]))
    v = torch.ones(2, 1, 4, device="meta")
    with torch.inference_mode():
        loss(v, Batch(v, v, torch.zeros(4, 1)))
    u = v.clone().requires_grad_()
    loss(u, Batch(v, v, torch.zeros(4, 1))).backward()
    assert u.grad.shape == u.shape
