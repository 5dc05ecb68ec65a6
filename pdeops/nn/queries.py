"""Where the values of an output are wanted: at places that need not be a lattice."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.on_grids import OnGrids, nodes_wanted
from pdeops.watched import watched

MARGIN = 1e-4  # of the domain's lengths: what round-off may take places beyond it


class Query(NamedTuple):
    """y: places (N, d), or (B, N, d) where each sample has its own, in the units of the output's grid, in single
    precision at least; shape: what the N values form."""

    y: Tensor
    shape: tuple[int, ...]


def query(model: OnGrids, a: Tensor, out: Grid | Tensor | None) -> Query:
    """Where a model that answers anywhere is asked, given a (B, C, *n): at the nodes of its output grid at the
    resolution of `a`, at those of another grid of the same axes and domain, or at points.

    Raises InputError on a grid of other axes, and on points as `check_points`.
    """
    own, exact = model.grid_out, torch.promote_types(a.dtype, torch.float32)
    if isinstance(out, Tensor):
        return Query(check_points(model, out, a).to(a.device, torch.promote_types(out.dtype, exact)), out.shape[-2:-1])
    if isinstance(out, Grid) and out.names == own.names and out != own:
        check_points(model, out.points().flatten(0, -2), a)
        own, n = out, out.shape
    else:
        n = own.shape if out is own else nodes_wanted(model, a.shape[2:], out)
    return Query(_nodes(own, n, exact, a.device), n)


def check_points(model: OnGrids, points: Tensor, a: Tensor) -> Tensor:
    """The points. Raises InputError unless they are real numbers (N, d), or (B, N, d) for B samples, within the domain
    of the model's output grid (anywhere along periodic axes)."""
    name, own = type(model).__name__, model.grid_out
    if points.ndim not in (2, 3) or points.shape[-1] != own.ndim or not points.is_floating_point():
        raise InputError(
            f"points of shape {tuple(points.shape)}, {points.dtype}; wanted real numbers (N, {own.ndim}) or "
            f"(B, N, {own.ndim}), the coordinates {', '.join(own.names)} of each"
        )
    if points.ndim == 3 and len(points) != len(a):
        raise InputError(f"the points of {len(points)} samples for an input of {len(a)}")
    if points.is_meta or watched():  # values are not at hand
        return points
    for axis, x in zip(own, points.detach().unbind(-1), strict=True):
        low, high = _domain(axis)
        if x.numel() and not (low <= float(x.min()) and float(x.max()) <= high):  # also where one is NaN
            came = f"{axis.name!r} from {float(x.min()):g} to {float(x.max()):g}"
            wanted = f"[{axis.start:g}, {axis.start + axis.length:g}]"
            raise InputError(f"points outside the domain of this {name}: {came}; wanted {wanted}")
    return points


def _domain(axis: Axis) -> tuple[float, float]:
    if axis.periodic:
        return -torch.finfo().max, torch.finfo().max
    margin = MARGIN * axis.length
    return axis.start - margin, axis.start + axis.length + margin


@constant
def _nodes(grid: Grid, n: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(N, d)."""
    return grid.resized(n).points().flatten(0, -2).to(device, dtype)
