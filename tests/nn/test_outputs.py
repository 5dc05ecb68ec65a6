"""Where the output of a model is wanted."""

from types import SimpleNamespace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.outputs import nodes_wanted

OWN = Grid((Axis("x", 16), Axis("y", 20, nodes="cell")))
MODEL = SimpleNamespace(grid_in=OWN, grid_out=OWN.resized((32, 20)))


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
