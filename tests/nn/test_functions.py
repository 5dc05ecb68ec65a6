"""Biases that vary in space."""

from math import pi

import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.functions import FunctionBias


def test_its_formula_on_mixed_axes():
    grid = Grid([Axis("x", 5, 2.0, start=1.0), Axis("y", 4, nodes="cell")])
    bias = FunctionBias(grid, 3, 3).double()
    torch.nn.init.normal_(bias.weight)
    x, y = (2 * pi * (grid[0].points() - 1) / 2), pi * grid[1].points()
    along_x = [torch.ones_like(x), x.cos(), x.sin()]
    along_y = [torch.cos(k * y) for k in range(3)]
    expected = sum(
        bias.weight[i, j] * torch.outer(along_x[i], along_y[j])[..., None] for i in range(3) for j in range(3)
    )
    v = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(bias(v), v + expected)


def test_it_is_one_function_at_every_resolution():
    grid = Grid([Axis("x", 9, nodes="uniform"), Axis("y", 8), Axis("z", 4, nodes="cell")])
    bias = FunctionBias(grid, 2, 4).double()
    torch.nn.init.normal_(bias.weight)
    coarse, fine = bias.on((9, 8, 4)), bias.on((17, 16, 12))
    torch.testing.assert_close(fine[::2, ::2, 1::3], coarse)


def test_of_rank_one_it_is_a_number_per_channel():
    bias = FunctionBias(Grid.periodic((8, 8)), 3, 1)
    torch.nn.init.normal_(bias.weight)
    assert torch.equal(bias(torch.zeros(1, 4, 6, 3)), bias.weight.flatten().expand(1, 4, 6, 3))
