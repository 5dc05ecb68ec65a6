"""Where outputs are wanted."""

from types import SimpleNamespace

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.queries import query

SPACE = Grid([Axis("x", 8, length=2.0, start=1.0), Axis("y", 5, nodes="uniform")])
OVER_TIME = Grid([Axis("time", 4, 2.0, "right")]) + SPACE
MODEL = SimpleNamespace(in_channels=1, grid_in=SPACE, grid_out=OVER_TIME)
A = torch.zeros(2, 1, 8, 5)


def test_nodes_of_the_output_at_the_resolution_of_the_input():
    y, shape = query(MODEL, A, None)
    assert shape == (4, 8, 5)
    torch.testing.assert_close(y, OVER_TIME.points().flatten(0, -2).float())
    y, shape = query(MODEL, A[:, :, ::2].double(), None)
    assert shape == (4, 4, 5)
    torch.testing.assert_close(y, OVER_TIME.resized((4, 4, 5)).points().flatten(0, -2))
    assert query(MODEL, A.bfloat16(), None).y.dtype == torch.float32


def test_another_grid_of_these_axes():
    other = Grid([Axis("time", 3, 1.0, "uniform", 0.5)]) + SPACE.resized((6, 3))
    y, shape = query(MODEL, A, other)
    assert shape == (3, 6, 3)
    torch.testing.assert_close(y, other.points().flatten(0, -2).float())
    with pytest.raises(InputError, match="output grid"):
        query(MODEL, A, SPACE)
    with pytest.raises(InputError, match=r"'time' from 0.5 to 3.5; wanted \[0, 2\]"):
        query(MODEL, A, Grid([Axis("time", 3, 3.0, "uniform", 0.5)]) + SPACE)


def test_points_of_all_samples_and_of_each():
    for points in (torch.rand(7, 3), torch.rand(2, 7, 3)):
        y, shape = query(MODEL, A, points)
        assert torch.equal(y, points)
        assert shape == (7,)
    turned = torch.rand(7, 3) + torch.tensor([0.0, 17.0, 0.0])  # a periodic axis goes round
    assert torch.equal(query(MODEL, A, turned).y, turned)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        (torch.rand(7, 2), r"wanted real numbers \(N, 3\) or \(B, N, 3\), the coordinates time, x, y of each"),
        (torch.zeros(7, 3, dtype=torch.long), "int64; wanted real numbers"),
        (torch.rand(3, 7, 3), "the points of 3 samples for an input of 2"),
        (torch.rand(7, 3) + torch.tensor([0.0, 0.0, 1.0]), "outside the domain of this SimpleNamespace: 'y'"),
        (torch.full((7, 3), torch.nan), "outside the domain"),
    ],
)
def test_points_that_do_not_fit_are_refused(points, said):
    with pytest.raises(InputError, match=said):
        query(MODEL, A, points)
