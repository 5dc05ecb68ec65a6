"""Places in the box of a grid, (N, d) in its own units: as features of a network, as distances to walls; with
derivatives by the place, as `nn.jets` has them."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, pi

import torch
from torch import Tensor

from pdeops.constants import constant
from pdeops.grid import Grid
from pdeops.nn.jets import Jet, Orders, composed, times, unit


def features(y: Tensor, grid: Grid, harmonics: int, keys: Sequence[Orders]) -> Jet:
    """(N, d) -> (N, `size`): of a periodic axis cos(2 pi k s), sin(2 pi k s), k = 1 .. harmonics, unless there are
    none; of others s; s = (y - start) / length, on a periodic axis taken back into [0, 1). In single precision at
    least, as half of it cannot tell places."""
    y, (start, length, _) = _exact(y, grid)
    lines, widths = [], []
    for i, (axis, s) in enumerate(zip(grid, ((y - start) / length).split(1, -1), strict=True)):
        waves, slope = axis.periodic and harmonics > 0, unit(i, grid.ndim)
        s = s - s.floor() if axis.periodic else s
        line: Jet = {keys[0]: s} | ({slope: 1 / length[i].view(1, 1)} if slope in keys else {})
        lines.append(_waves(line, harmonics, keys) if waves else line)
        widths.append(2 * harmonics if waves else 1)
    if grid.ndim == 1:
        return lines[0]
    present = [alpha for alpha in keys if any(alpha in line for line in lines)]
    return {alpha: _beside([line.get(alpha) for line in lines], widths) for alpha in present}


def size(grid: Grid, harmonics: int) -> int:
    """How many `features` a place has."""
    return sum(2 * harmonics if axis.periodic and harmonics else 1 for axis in grid)


def walls(y: Tensor, grid: Grid, keys: Sequence[Orders]) -> Jet:
    """(..., d) -> (...): the product of 4 s (1 - s) over the dirichlet axes, exactly zero at both of their ends."""
    y, (start, length, end) = _exact(y, grid)
    found: Jet = {keys[0]: torch.ones_like(y[..., 0])}
    for i, axis in enumerate(grid):
        if axis.bc == "dirichlet":
            x, scale = y[..., i], 4 / length[i].square()
            taylor = scale * (x - start[i]) * (end[i] - x), scale * (start[i] + end[i] - 2 * x), -scale.expand_as(x)
            found = times(found, {unit(i, grid.ndim, m): value for m, value in enumerate(taylor)}, keys)
    return found


def _waves(s: Jet, harmonics: int, keys: Sequence[Orders]) -> Jet:
    """cos, sin, cos 2, sin 2, .. of 2 pi s."""
    value = s[keys[0]]
    k = 2 * pi * torch.arange(1, harmonics + 1, dtype=value.dtype, device=value.device)
    cos, sin = (k * value).cos(), (k * value).sin()
    turns = (cos, sin), (-sin, cos), (-cos, -sin), (sin, -cos)  # derivatives by the angle, again and again
    order = max(map(sum, keys))
    slopes = [torch.stack(turns[m % 4], -1).flatten(-2) / factorial(m) for m in range(order + 1)]
    return composed(slopes, {alpha: (k * u).repeat_interleave(2, -1) for alpha, u in s.items()}, keys)


def _beside(parts: Sequence[Tensor | None], widths: Sequence[int]) -> Tensor:
    """(N, sum of widths); None: zeros."""
    there = [part for part in parts if part is not None]
    n = max(len(part) for part in there)
    filled = (there[0].new_zeros(1, w) if part is None else part for part, w in zip(parts, widths, strict=True))
    return torch.cat([part.expand(n, -1) for part in filled], -1)


def _exact(y: Tensor, grid: Grid) -> tuple[Tensor, tuple[Tensor, ...]]:
    """y in single precision at least; starts, lengths, ends of the box."""
    y = y.to(torch.promote_types(y.dtype, torch.float32))
    return y, _box(grid, (), y.dtype, y.device).unbind()


@constant
def _box(grid: Grid, sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(3, d): starts, lengths, ends."""
    rows = [[axis.start, axis.length, axis.start + axis.length] for axis in grid]
    return torch.tensor(rows, dtype=torch.float64).t().to(device, dtype)
