"""What is asked of the SNO alone."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.sno import SNO

GRID = Grid([Axis("x", 9), Axis("y", 7, 2.0, "chebyshev")])


def test_its_formula():
    """On coefficients: Chebyshev's of T_k, cosines and sines, mixed by one dense map, the activation on them."""
    torch.manual_seed(0)
    model = SNO(1, 1, GRID, GRID, width=3, modes=[5, 4], depth=1, scale=0.5).double()
    first, last, layer = model.network.first, model.network.last, model.network.layers[0]
    for parameter in model.parameters():
        parameter.data.normal_()
    x, y = GRID.points().unbind(-1)
    t = y - 1
    a = (torch.cos(2 * torch.pi * x) * (2 * t**2 - 1))[None, None]
    z = torch.zeros(5, 4, 3, dtype=torch.float64)
    z[1, 2, 0] = 1  # cos, T_2
    lattice = model.lattice.points()
    places = torch.stack([lattice[..., 0], lattice[..., 1] / 2], -1)
    z[..., 1:] = model.series.to_modes(places.movedim(-1, 0)).movedim(0, -1)
    for dense in first:
        z = torch.relu(z @ dense.weight.T + dense.bias)
    mixed = (layer.weight @ z.reshape(20, 3) + layer.bias).view(5, 4, 3)
    z = torch.relu(mixed @ layer.dense.weight.T + layer.dense.bias)
    for dense in last[:-1]:
        z = torch.relu(z @ dense.weight.T + dense.bias)
    c = (z @ last[-1].weight.T + last[-1].bias).movedim(-1, 0)
    torch.testing.assert_close(model(a, GRID), 0.5 * model.series.at(c, *(axis.points() for axis in GRID))[None])


def test_too_few_modes_are_refused():
    with pytest.raises(InputError, match=r"model.modes=\[3, 9\]"):
        SNO(1, 1, GRID, GRID, modes=[3, 9])


def test_maps_beyond_memory_are_refused():
    box = Grid(Axis(name, 31, nodes="chebyshev") for name in "xyz")
    with pytest.raises(InputError, match=r"have 3,550,014,724 weights, 13 GiB; wanted at most 28 modes per axis"):
        SNO(1, 1, box, box)
