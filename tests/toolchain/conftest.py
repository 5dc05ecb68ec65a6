"""A small FNO whose every part is in use: coordinates, several blocks, both kinds of axes of its transforms."""

import pytest
import torch

from pdeops.grid import Grid
from pdeops.models.fno import FNO


@pytest.fixture
def fno():
    grid = Grid.periodic((12, 16))
    return FNO(2, 1, grid, grid, width=4, modes=(4, 6), depth=2)


@pytest.fixture
def a():
    return torch.randn(3, 2, 12, 16)
