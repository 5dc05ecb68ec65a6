"""Places in a box."""

from math import pi

import pytest
import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.derivatives import derivatives
from pdeops.nn.jets import below, derivative
from pdeops.nn.places import features, size, walls

BOX = Grid([Axis("x", 8, length=3.0, start=-1.0), Axis("y", 9, 2.0, "uniform", 5.0, bc="dirichlet")])
VALUE = [(0, 0)]


def test_scaled_to_the_box():
    y = torch.tensor([[-1.0, 5.0], [2.0, 7.0], [0.5, 5.5]])
    expected = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.5, 0.25]])  # both ends of a period are one place
    torch.testing.assert_close(features(y, BOX, 0, VALUE)[0, 0], expected)
    assert features(y.bfloat16(), BOX, 0, VALUE)[0, 0].dtype == torch.float32
    assert size(BOX, 0) == 2


def test_periodic_axes_are_harmonics():
    y = torch.tensor([[-0.4, 6.2]], dtype=torch.float64)
    s = torch.tensor(2 * pi * 0.2, dtype=torch.float64)
    expected = torch.stack([s.cos(), s.sin(), (2 * s).cos(), (2 * s).sin(), 0.6 * torch.ones_like(s)])
    torch.testing.assert_close(features(y, BOX, 2, VALUE)[0, 0][0], expected)
    assert size(BOX, 2) == 5
    turned = y + torch.tensor([3.0, 0.0])
    torch.testing.assert_close(features(turned, BOX, 3, VALUE), features(y, BOX, 3, VALUE))


def test_walls_are_exactly_zero_at_nodes_of_odd_boxes():
    for dtype in (torch.float32, torch.float64):
        for start, length in ((0.1, 0.7), (-1 / 3, 1.1), (5.3, 0.123)):
            grid = Grid([Axis("x", 7, length, "uniform", start, bc="dirichlet"), Axis("y", 5, nodes="uniform")])
            w = walls(grid.points().to(dtype), grid, VALUE)[0, 0]
            assert w[[0, -1]].count_nonzero() == 0
            torch.testing.assert_close(w[3], torch.ones_like(w[3]))
            assert (w[1:-1] > 0).all()
    torch.testing.assert_close(walls(torch.tensor([0.0, 5.5]), BOX, VALUE)[0, 0], torch.tensor(0.75))


@pytest.mark.parametrize("harmonics", [0, 2])
def test_derivatives_are_those_of_forward_differentiation(harmonics):
    keys = below([(5, 2), (1, 3)])
    y = torch.tensor([0.0, 5.0]) + torch.tensor([3.0, 2.0]) * torch.rand(6, 2, dtype=torch.float64)
    walled = Grid([Axis("x", 9, 3.0, "uniform", -1.0, bc="dirichlet"), BOX[1]])
    for function in (lambda x, keys: features(x, BOX, harmonics, keys), lambda x, keys: walls(x, walled, keys)):
        found, expected = function(y, keys), derivatives(lambda x, f=function: f(x, VALUE)[0, 0], y, keys)
        for alpha in keys:
            torch.testing.assert_close(derivative(found, alpha), expected[alpha], msg=str(alpha))
