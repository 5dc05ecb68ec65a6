"""Where the nodes of a grid sit, as channels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pdeops.constants import constant
from pdeops.grid import Axis, Grid


def coordinates(grid: Grid, n: Sequence[int], like: Tensor, some: slice = slice(None)) -> Tensor:
    """(d, *n): the nodes of each axis, were there n of them, scaled to [0, 1]; type and device of `like`. some: which
    of the first axis."""
    lines = [_scaled(axis, (k,), like.dtype, like.device) for axis, k in zip(grid, n, strict=True)]
    return torch.stack(torch.meshgrid(lines[0][some], *lines[1:], indexing="ij"))


@constant
def _scaled(axis: Axis, sizes: tuple[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    return ((axis.resized(sizes[0]).points() - axis.start) / axis.length).to(device, dtype)
