"""Places in a box."""

from math import pi

import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.places import features, scaled, size, walls

BOX = Grid([Axis("x", 8, length=3.0, start=-1.0), Axis("y", 9, 2.0, "uniform", 5.0, bc="dirichlet")])


def test_scaled_to_the_box():
    y = torch.tensor([[-1.0, 5.0], [2.0, 7.0], [0.5, 5.5]])
    torch.testing.assert_close(scaled(y, BOX), torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.5, 0.25]]))
    assert scaled(y.bfloat16(), BOX).dtype == torch.float32


def test_features_of_periodic_axes_are_harmonics():
    y = torch.tensor([[-0.4, 6.2]], dtype=torch.float64)
    s = 2 * pi * 0.2
    expected = torch.tensor([s, s, 2 * s, 2 * s], dtype=torch.float64)
    expected[0::2], expected[1::2] = expected[0::2].cos(), expected[1::2].sin()
    found = features(y, BOX, 2)
    torch.testing.assert_close(found[0], torch.cat([expected, torch.tensor([0.6], dtype=torch.float64)]))
    assert found.shape[-1] == size(BOX, 2) == 5
    torch.testing.assert_close(features(y, BOX, 0), scaled(y, BOX))
    assert size(BOX, 0) == 2
    turned = y + torch.tensor([3.0, 0.0])
    torch.testing.assert_close(features(turned, BOX, 3), features(y, BOX, 3))


def test_walls_are_exactly_zero_at_nodes_of_odd_boxes():
    for dtype in (torch.float32, torch.float64):
        for start, length in ((0.1, 0.7), (-1 / 3, 1.1), (5.3, 0.123)):
            grid = Grid([Axis("x", 7, length, "uniform", start, bc="dirichlet"), Axis("y", 5, nodes="uniform")])
            w = walls(grid.points().to(dtype), grid)
            assert w[[0, -1]].count_nonzero() == 0
            torch.testing.assert_close(w[3], torch.ones_like(w[3]))
            assert (w[1:-1] > 0).all()
    s = torch.tensor(0.25)
    torch.testing.assert_close(walls(torch.tensor([0.0, 5.5]), BOX), 4 * s * (1 - s))
