"""What is asked of the SFNO alone."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import derivative, resample
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.sfno import SFNO
from pdeops.window import Window

STEP = 0.2


def grids(n_in=10, n_out=8, space=(16, 12), **axes):
    frames = Grid([Axis("time", n_in + n_out, STEP * (n_in + n_out), "left")])
    window = Window(n_in, n_out, history="time").on(frames + (axes.get("on") or Grid.periodic(space)), "w", "")
    return window.grid_in, window.grid_out


def build(own=None, channels=(1, 1), **options):
    torch.manual_seed(0)
    model = SFNO(*channels, *(own or grids()), **{"width": 8, "modes": 6, "time_modes": 5, "latent_steps": 6} | options)
    if model.output.bias is not None:
        torch.nn.init.normal_(model.output.bias)
    return model.double()


def frames(*shape):
    return torch.randn(2, *shape, dtype=torch.float64)


def finer(grid, n_time, *space):
    return grid.resized((n_time, *(space or grid.space.shape)))


def test_the_output_is_one_function_of_time_and_space():
    """On any lattice of times and nodes: that of a Fourier series of the stated period, plus the last frame."""
    own = grids()
    model, a = build(own), frames(1, 10, 16, 12)
    u = model(a)
    many = model(a, out=finer(own[1], 16))
    torch.testing.assert_close(many[:, :, 1::2], u)
    assert (many[:, :, ::2] - u).norm() > 1e-3 * u.norm()
    torch.testing.assert_close(model(a, out=finer(own[1], 8, 32, 36)), resample(u, (32, 36)))
    length = own[1][0].length
    longer = Grid([Axis("time", 12, 1.5 * length, "right"), *own[1].space])
    torch.testing.assert_close(model(a, out=longer)[:, :, :8], u)


def test_the_series_is_what_ansatz_says():
    own = grids(n_out=11)
    for modes in (5, 4):
        model, a = build(own, latent_steps=7, time_modes=modes), frames(1, 10, 16, 12)
        period, count, start = model.ansatz
        assert (count, start) == (modes, 0.0)
        assert period == pytest.approx(1.5 * own[1][0].length)
        t = own[1][0].points() - start
        f = torch.arange(-(count // 2), count - count // 2)
        basis = torch.exp(2j * pi / period * torch.outer(t, f.double())) - 1
        real = torch.cat([basis.real, basis.imag], 1)
        growth = (model(a) - a[:, :, -1:]).movedim(2, 0).flatten(1)
        fit = real @ torch.linalg.lstsq(real, growth, driver="gelsd").solution
        torch.testing.assert_close(fit, growth)
        assert torch.linalg.matrix_rank(growth) == 2 * (modes // 2)


def test_the_initial_condition_is_exact():
    """At times closer and closer to the last frame the output is that frame, whatever the weights."""
    own = grids()
    model, a = build(own), frames(1, 10, 16, 12)
    soon = Grid([Axis("time", 1, 1e-12, "right"), *own[1].space])
    torch.testing.assert_close(model(a, out=soon)[:, :, 0], a[:, :, -1], rtol=0, atol=1e-7)
    assert (model(a) - a[:, :, -1:]).norm() > 0.1


@pytest.mark.parametrize("n_in", [1, 2, 5, 10, 40, 130])
def test_any_number_of_frames(n_in):
    own = grids(n_in, 150)
    assert build(own)(frames(1, n_in, 16, 12)).shape == (2, 1, 150, 16, 12)


def test_histories_are_functions_of_time():
    """A history sampled twice as often, that both samplings resolve, gives the same output."""
    own = grids(n_in=11)
    model = build(own, coordinates=False)

    def history(n):
        t = own[0].resized((n, 16, 12))[0].points()
        wave = torch.cos(2 * pi * t / own[0][0].length)[:, None, None]
        return wave.expand(n, 16, 12)[None, None]

    model.lifting = torch.nn.Linear(1, 8).double()
    torch.testing.assert_close(model(history(22)), model(history(11)))


def test_commutes_with_translations_without_coordinates():
    model, a = build(coordinates=False), frames(1, 10, 16, 12)
    assert model.output.bias is None
    moved, back = model(a.roll((3, 5), (3, 4))), model(a).roll((3, 5), (3, 4))
    assert (moved - back).norm() < 1e-12 * back.norm()
    single = model.float()
    moved, back = single(a.float().roll((3, 5), (3, 4))), single(a.float()).roll((3, 5), (3, 4))
    assert (moved - back).norm() < 1e-6 * back.norm()


def test_the_encoding_is_smooth_across_the_seam():
    """What the model adds to a translation-invariant input has coefficients of the lowest modes alone."""
    model = build(grids(space=(32, 24)))
    seen = []
    model.lifting.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(torch.ones(1, 1, 10, 32, 24).double())
    waves = torch.fft.rfft2(seen[0][0, 0].movedim(-1, 0), norm="forward").abs()
    assert waves[1:].amax() == pytest.approx(0.5)
    waves[:, [0, 1, 0, -1], [0, 0, 1, 0]] = 0
    assert waves.max() < 1e-15


def test_the_bias_counts_and_lies_in_all_modes():
    model, a = build(modes=40, time_modes=9, latent_steps=3), frames(1, 10, 16, 12)
    assert not torch.allclose(model(a), model(a.roll(5, 3)).roll(-5, 3))
    model(a).square().sum().backward()
    assert (model.output.bias.grad.abs().amax((0, 2, 3, 4)) > 0).sum() == 8  # not that of no time, which cancels


@pytest.mark.parametrize("space", [(16, 16), (15, 15), (16, 15), (12, 18)])
def test_velocities_without_divergence(space):
    lattice = Grid([Axis("x", space[0], 2.0), Axis("y", space[1], 3.0)])
    own = grids(on=lattice)
    model = build(own, (3, 2), divergence_free=True, modes=20).float()
    a = frames(3, 10, *space).float()
    for out, at in ((None, lattice), (finer(own[1], 5, 20, 21), lattice.resized((20, 21)))):
        u = model(a, out=out)
        slopes = [derivative(u[:, i], axis, i + 2) for i, axis in enumerate(at)]
        assert sum(slopes).norm() < 1e-6 * torch.stack(slopes).norm()
        fine, between = resample(u, (64, 60)), at.resized((64, 60))
        slopes = [derivative(fine[:, i], axis, i + 2) for i, axis in enumerate(between)]
        assert sum(slopes).norm() < 1e-6 * torch.stack(slopes).norm()
    free = model(a)
    model.divergence_free = False
    plain = model(a)
    assert (plain - free).norm() > 0.1 * plain.norm()
    torch.testing.assert_close(free.mean((-1, -2)), plain.mean((-1, -2)))


def test_several_channels_and_static_fields():
    a = frames(3, 10, 16, 12)
    model = build(channels=(3, 2))
    u = model(a)
    assert u.shape == (2, 2, 8, 16, 12)
    b = a.clone()
    b[:, 2] += 1
    assert not torch.allclose(model(b), u)
    soon = Grid([Axis("time", 1, 1e-12, "right"), *grids()[1].space])
    torch.testing.assert_close(model(b, out=soon)[:, :, 0], b[:, :2, -1])


def test_amplitude_is_not_normalised_away():
    """Ten times the input adds another field to the last frame, and not ten times the same one."""
    model, a = build(coordinates=False), frames(1, 10, 16, 12)
    once, ten = (model(s * a) - s * a[:, :, -1:] for s in (1, 10))
    assert (ten - once).norm() > once.norm()
    assert (ten - 10 * once).norm() > 0.1 * ten.norm()


def test_head_of_features_is_the_model():
    own = grids()
    model, a = build(own), frames(1, 10, 16, 12)
    v = model.features(a)
    assert v.shape == (2, 6, 16, 12, 1)
    for out in (None, finer(own[1], 16, 20, 20)):
        assert torch.equal(model.head(v, a, out), model(a, out))
    # linear in the output layer's parameters
    once = model.head(v, a) - a[:, :, -1:]
    with torch.no_grad():
        for parameter in model.output.parameters():
            parameter.mul_(2)
    torch.testing.assert_close(model.head(v, a) - a[:, :, -1:], 2 * once)


def test_at_first_the_series_is_that_of_the_features():
    """With all modes of a lattice, and times on the latent ones: u - w is v(t) - v(0)."""
    own = grids(n_out=5, space=(7, 9))
    model = SFNO(2, 2, *own, width=8, modes=9, time_modes=5, latent_steps=5, padding=0.0).double()
    a = frames(2, 10, 7, 9)
    v = model.features(a).movedim(-1, 1)
    torch.testing.assert_close(model(a) - a[:, :, -1:], v.roll(-1, 2) - v[:, :, :1])


@pytest.mark.parametrize("modes", [(5, 6, 6), (7, 12, 8), (11, 9, 7)])
def test_a_lifted_output_is_the_same_function_with_room(modes):
    model, a = build(), frames(1, 10, 16, 12)
    u = model(a)
    model.output = model.output.lifted(modes)
    torch.testing.assert_close(model(a), u)
    assert model.ansatz.modes == modes[0]
    model(a).square().sum().backward()
    if modes != (5, 6, 6):
        assert (model.output.bias.grad[model.output.bias == 0].abs() > 0).any()


def test_what_cannot_be_lifted_is_refused():
    model = build()
    with pytest.raises(InputError, match=r"modes=\(5, 4, 6\), fewer than"):
        model.output.lifted((5, 4, 6))


def test_every_parameter_learns():
    model, a = build(), frames(1, 10, 16, 12)
    model(a).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_too_many_modes_are_those_the_grid_has():
    model, a = build(modes=64, time_modes=31), frames(1, 10, 16, 12)
    assert model(a).isfinite().all()


WALL = Grid([Axis("x", 16), Axis("y", 12, nodes="cell")])


@pytest.mark.parametrize(
    ("own", "options", "message"),
    [
        ((Grid.periodic((8, 8)),) * 2, {}, "set data.window.history=time"),
        (grids(on=WALL), {}, "axis 'y' has cell nodes: take model=fno"),
        ((grids()[1],) * 2, {}, "history ends and its output starts at t = 0"),
        ((grids()[0],) * 2, {}, "history ends and its output starts at t = 0"),
        (grids(), {"modes": [4]}, r"one for each of \('x', 'y'\)"),
        (grids(), {"padding": -1.0}, "padding=-1.0"),
        (grids(), {"latent_steps": 0}, "latent_steps=0"),
        (grids(), {"channels": (1, 2)}, "each output's history"),
        (grids(), {"divergence_free": True}, "a velocity has 2 components"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(own, options, message):
    with pytest.raises(InputError, match=message):
        build(own, **options)


def test_outputs_that_it_does_not_have_are_refused():
    own = grids()
    model, a = build(own), frames(1, 10, 16, 12)
    with pytest.raises(InputError, match="not at scattered points"):
        model(a, torch.rand(5, 3))
    with pytest.raises(InputError, match="not this SFNO's output grid"):
        model(a, own[1].space[:1])
    for axis in (Axis("time", 8, 3.0, "right"), Axis("time", 8, 1.0, "right", 1.0)):
        with pytest.raises(InputError, match=r"repeats itself after 2\.4"):
            model(a, Grid([axis, *own[1].space]))


def test_a_grid_in_space_is_taken_at_the_trained_times():
    model, a = build(), frames(1, 10, 16, 12)
    finer = model.grid_out.space.resized((20, 18))
    torch.testing.assert_close(model(a, finer), model(a, model.grid_out[:1] + finer), rtol=0, atol=0)
