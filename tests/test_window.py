"""Frames and channels: nothing is lost, swapped or shifted."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.window import Window

GRID = Grid((Axis("time", 11, 5.0, "uniform"), *Grid.periodic((4, 3))))


def bound(targets=("u", "v"), inputs=("nu",), **options):
    return Window(**options).on(GRID, targets, inputs)


def frames(n, first=0):
    """Frame t of channel c holds 10 c + t."""
    values = 10 * torch.arange(2.0).view(1, 2, 1) + torch.arange(first, first + n)
    return values.view(1, 2, n, 1, 1).expand(1, 2, n, 4, 3)


def test_channels_hold_history_first_and_static_fields_last():
    window = bound(n_in=3, n_out=2)
    a = window.make_input(frames(3), torch.full((1, 1, 4, 3), 7.0))
    assert window.in_names == ("u[-2]", "v[-2]", "u[-1]", "v[-1]", "u[+0]", "v[+0]", "nu")
    assert a[0, :, 0, 0].tolist() == [0, 10, 1, 11, 2, 12, 7]
    assert window.out_names == ("u[+1]", "v[+1]", "u[+2]", "v[+2]")
    assert (window.in_channels, window.out_channels) == (7, 4)
    assert window.grid_in == window.grid_out == GRID.space


def test_time_axis():
    window = bound(n_in=3, n_out=3, stride=2, history="time")
    a = window.make_input(frames(3), torch.full((1, 1, 4, 3), 7.0))
    assert a.shape == (1, 3, 3, 4, 3)
    assert a[0, 2].unique().tolist() == [7]
    assert window.grid_in[0].points().tolist() == pytest.approx([-2, -1, 0])
    assert window.grid_out[0].points().tolist() == pytest.approx([1, 2, 3])


@pytest.mark.parametrize("history", ["channel", "time"])
def test_what_the_problem_starts_from(history):
    window = bound(n_in=3, n_out=2, history=history)
    a = window.make_input(frames(3), torch.full((1, 1, 4, 3), 7.0))
    assert window.problem_inputs(a)[0, :, 0, 0].tolist() == [2, 12, 7]
    assert window.problem_inputs(window.make_input(frames(3)))[0, :, 0, 0].tolist() == [2, 12]


@pytest.mark.parametrize("history", ["channel", "time"])
@pytest.mark.parametrize(("n_in", "n_out"), [(3, 1), (1, 1), (2, 3), (3, 2)])
def test_advancing_is_the_later_window(history, n_in, n_out):
    window = bound(n_in=n_in, n_out=n_out, history=history)
    static = torch.full((1, 1, 4, 3), 7.0)
    a = window.make_input(frames(n_in), static)
    u = window.stack(frames(n_out, first=n_in))
    torch.testing.assert_close(window.advance(a, u), window.make_input(frames(n_in, first=n_out), static))
    torch.testing.assert_close(window.joint_frames(a, u), frames(n_in + n_out))
    torch.testing.assert_close(window.unstack(u), frames(n_out, first=n_in))


def test_counting_windows():
    assert bound(n_in=1, n_out=1).starts(11) == 10
    assert bound(n_in=2, n_out=1, stride=3).starts(11) == 5
    assert bound(n_in=2, n_out=1, stride=3).time_step == pytest.approx(1.5)
    assert bound(n_in=10, n_out=1).frames_grid(11)[0].points().diff().tolist() == pytest.approx([0.5] * 10)


def test_steady():
    window = Window().on(GRID.space, ("u",), ("a", "f"))
    assert not window.evolves
    assert (window.in_names, window.out_names) == (("a", "f"), ("u",))
    assert window.grid_in == GRID.space


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_in": 0}, ">= 1"),
        ({"history": "channels"}, "wanted one of"),
        ({"n_in": 10, "n_out": 2}, "need trajectories of 12 frames"),
    ],
)
def test_mistakes_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        bound(**options)


def test_an_unbound_window_says_so():
    with pytest.raises(InputError, match="not bound"):
        _ = Window().grid_in


@pytest.mark.parametrize("option", [{"n_in": 2}, {"n_out": 3}, {"stride": 2}, {"history": "time"}])
def test_frames_of_data_without_time_are_refused(option):
    (name, value), *_ = option.items()
    with pytest.raises(InputError, match=f"{name}={value}.*no time axis"):
        Window(**option).on(Grid.periodic((4, 3)), ("u",), ("a",))
