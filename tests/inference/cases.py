"""Small surrogates of every model, and files for them."""

import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.window import Window
from tests.models.test_contract import FRAMES, build

GRID = Grid.periodic((16, 16))


def surrogate_of(name, **changes):
    """A model of `conf/model` on three channels in and two out, with random weights."""
    window = Window().on(GRID, "uv", "abc")
    if name in FRAMES:
        window = Window(*FRAMES[name], history="time").on(Grid([Axis("time", 9, nodes="left"), *GRID]), "uv", "a")
    ones_in, ones_out = torch.ones(3), torch.ones(2)
    normalizers = Normalizer(0.5 * ones_in, 2 * ones_in), Normalizer(ones_out, 3 * ones_out)
    return Surrogate(build(name, GRID, **changes), window, *normalizers).eval().requires_grad_(False)


def inputs_of(surrogate, batch):
    window = surrogate.window
    return torch.randn(batch, window.in_channels, *window.grid_in.shape)


def error(u, v):
    return float((u - v).norm() / v.norm())
