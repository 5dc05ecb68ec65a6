"""Places in the box of a grid, (..., d) in its own units: as parts of it, as features of a network, as distances to
walls."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from pdeops.constants import constant
from pdeops.grid import Grid


def scaled(y: Tensor, grid: Grid) -> Tensor:
    """s = (y - start) / length along each axis; in single precision at least, as half of it cannot tell places."""
    y = y.to(torch.promote_types(y.dtype, torch.float32))
    start, length, _ = _box(grid, (), y.dtype, y.device).unbind()
    return (y - start) / length


def features(y: Tensor, grid: Grid, harmonics: int) -> Tensor:
    """(..., d) -> (..., `size`): of a periodic axis cos(2 pi k s), sin(2 pi k s) for k = 1 .. harmonics, unless there
    are none; of others s."""
    s = scaled(y, grid)
    if harmonics == 0 or not any(axis.periodic for axis in grid):
        return s
    k = 2 * pi * torch.arange(1, harmonics + 1, dtype=s.dtype, device=s.device)
    parts = []
    for axis, line in zip(grid, s.split(1, -1), strict=True):
        angle = line * k
        parts.append(torch.stack([angle.cos(), angle.sin()], -1).flatten(-2) if axis.periodic else line)
    return torch.cat(parts, -1)


def size(grid: Grid, harmonics: int) -> int:
    """How many `features` a place has."""
    return sum(2 * harmonics if axis.periodic and harmonics else 1 for axis in grid)


def walls(y: Tensor, grid: Grid) -> Tensor:
    """(...): the product of 4 s (1 - s) over the dirichlet axes: one in their middle, and exactly zero at both ends."""
    y = y.to(torch.promote_types(y.dtype, torch.float32))
    start, length, end = _box(grid, (), y.dtype, y.device).unbind()
    held = [i for i, axis in enumerate(grid) if axis.bc == "dirichlet"]
    return (4 * (y - start) * (end - y) / length.square())[..., held].prod(-1)


@constant
def _box(grid: Grid, sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3, d): starts, lengths, ends."""
    rows = [[axis.start, axis.length, axis.start + axis.length] for axis in grid]
    return torch.tensor(rows, dtype=torch.float64).t().to(device, dtype)
