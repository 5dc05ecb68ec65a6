"""What models of fields on grids share."""

from types import SimpleNamespace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.on_grids import check_axes, check_growth, check_input, for_each_axis, nodes_wanted

OWN = Grid((Axis("x", 16), Axis("y", 20, nodes="cell")))
MODEL = SimpleNamespace(in_channels=2, grid_in=OWN, grid_out=OWN.resized((32, 20)))


def test_at_the_resolution_of_the_input():
    assert nodes_wanted(MODEL, (16, 20), None) == (32, 20)
    assert nodes_wanted(MODEL, (8, 31), None) == (16, 31)


def test_on_the_grid_that_is_given():
    assert nodes_wanted(MODEL, (16, 20), OWN.resized((7, 9))) == (7, 9)


@pytest.mark.parametrize("out", [Grid((Axis("x", 16), Axis("y", 20))), Grid((Axis("x", 16),)), OWN[::-1]])
def test_another_grid_is_refused(out):
    with pytest.raises(InputError, match="is not this SimpleNamespace's output grid with other numbers of nodes"):
        nodes_wanted(MODEL, (16, 20), out)


def test_points_are_refused():
    with pytest.raises(InputError, match="not at scattered points"):
        nodes_wanted(MODEL, (16, 20), torch.rand(5, 2))


def test_an_option_is_for_all_axes_or_one_for_each():
    assert for_each_axis("modes", 4, OWN) == for_each_axis("modes", [4, 4], OWN) == (4, 4)
    assert for_each_axis("basis", "cosine", OWN) == ("cosine", "cosine")
    with pytest.raises(InputError, match=r"model.modes=\[4\]; wanted one or 2, one for each of \('x', 'y'\)"):
        for_each_axis("modes", [4], OWN)


def test_an_input_has_the_models_channels_and_axes():
    check_input(MODEL, torch.zeros(3, 2, 5, 6))
    for wrong in ((3, 1, 5, 6), (2, 5, 6), (3, 2, 5, 6, 7)):
        with pytest.raises(InputError, match=r"got an input of shape \(.*\); wanted \(batch, 2 channels, x, y\)"):
            check_input(MODEL, torch.zeros(wrong))


def test_one_frame_does_not_become_several_equal_ones():
    one, two = OWN.resized((1, 20)), OWN.resized((2, 20))
    check_growth("FNO", one, one)
    check_growth("FNO", two, OWN)
    with pytest.raises(InputError, match=r"of 1 node of 'x' all 16 would be the same: take data.window.hist"):
        check_growth("FNO", one, OWN)


def test_a_model_keeps_one_to_three_axes():
    check_axes("Model", OWN, OWN.resized((3, 4)))
    with pytest.raises(InputError, match=r"Model keeps its axes; got \('x', 'y'\) in and \('x',\) out"):
        check_axes("Model", OWN, OWN[:1])
    four = Grid([Axis(name, 4) for name in "wxyz"])
    with pytest.raises(InputError, match="Model works on 1 to 3 axes; this grid has 4"):
        check_axes("Model", four, four)
