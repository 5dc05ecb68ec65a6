"""A bias that is a function of the place, and knows no resolution."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor, nn

from pdeops.constants import constant
from pdeops.grid import Axis, Grid


class FunctionBias(nn.Module):
    """v + B, v (B, *n, C): B(x) = sum_k b_k phi_k(x), of rank modes^d.

    phi_k: products of the first `modes` functions of each axis, 1, cos, sin, cos 2, .. of 2 pi x / length on periodic
    axes, cos(k pi x / length) on others. modes = 1: a number per channel.
    """

    def __init__(self, grid: Grid, channels: int, modes: int) -> None:
        super().__init__()
        self.axes, self.modes = tuple(axis.resized(2) for axis in grid), modes
        self.weight = nn.Parameter(torch.zeros(*(modes,) * grid.ndim, channels))

    def forward(self, v: Tensor) -> Tensor:
        return v + self.on(v.shape[1:-1])

    def on(self, n: Sequence[int]) -> Tensor:
        """(*n, C), or (C,) where B is constant; under autocast in its precision."""
        if self.modes == 1:
            return self.weight.flatten()
        b = self.weight
        for axis, k in zip(self.axes, n, strict=True):  # each contracts the first axis and appends its nodes last
            b = torch.tensordot(b, _functions((axis, self.modes), (k,), b.dtype, b.device), dims=([0], [0]))
        return b.movedim(0, -1)


@constant
def _functions(what: tuple[Axis, int], sizes: tuple[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(modes, n)."""
    axis, modes = what
    x = (axis.resized(sizes[0]).points() - axis.start) / axis.length
    k = torch.arange(modes, dtype=torch.float64)
    if not axis.periodic:
        return torch.cos(pi * torch.outer(k, x)).to(device, dtype)
    angle = 2 * pi * torch.outer((k + 1).div(2, rounding_mode="floor"), x)
    return torch.where((k % 2 == 0)[:, None] & (k > 0)[:, None], angle.sin(), angle.cos()).to(device, dtype)
