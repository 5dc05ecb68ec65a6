import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.coordinates import coordinates


def test_coordinates_are_scaled_and_follow_the_nodes():
    like = torch.zeros(1, dtype=torch.float64)
    for nodes in ("cell", "uniform"):
        x = coordinates(Grid((Axis("x", 4, 4.0, nodes, start=3.0),)), (5,), like)
        torch.testing.assert_close(x[0], Axis("x", 5, 1.0, nodes).points())
    x, y = coordinates(Grid.periodic((4, 2)), (4, 2), like)
    assert torch.equal(x[:, 0], torch.arange(4) / 4)
    assert torch.equal(y[0], torch.arange(2) / 2)
