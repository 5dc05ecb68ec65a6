"""What models of fields at points share: the input's shape and its places, in the domain of a grid."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.on_grids import OnGrids
from pdeops.nn.queries import MARGIN, check_points
from pdeops.points import Points
from pdeops.watched import watched


def check_values(model: OnGrids, a: Tensor, points: Points, out: Points | None) -> None:
    """Raise InputError unless a is (B, the model's channels, N) at N points, and points are its kind."""
    name = type(model).__name__
    if not isinstance(a, Tensor) or a.ndim != 3 or a.shape[1] != model.in_channels:
        shape = tuple(getattr(a, "shape", ())) or type(a).__name__
        raise InputError(
            f"{name} got an input of shape {shape}; wanted a tensor (batch, {model.in_channels} channels, points)"
        )
    for place in (points,) if out is None else (points, out):
        if not isinstance(place, Points):
            raise InputError(f"places are a {type(place).__name__}; wanted Points")
        _check_places(model, place, a)
    if points.x.shape[-2] != a.shape[2]:
        raise InputError(f"values at {a.shape[2]} points, and the places of {points.x.shape[-2]}")


def _check_places(model: OnGrids, points: Points, a: Tensor) -> None:
    if points.ndim != model.grid_in.ndim:
        raise InputError(f"points in {points.ndim} dimensions; this {type(model).__name__} has {model.grid_in.ndim}")
    if points.batch not in (None, a.shape[0]):
        raise InputError(f"the points of {points.batch} samples for the values of {a.shape[0]}")


def scaled(model: OnGrids, points: Points, like: Tensor) -> Tensor:
    """The places (B or 1, N, d), the model's domain scaled to [0, 1], on the device of `like`, in single precision at
    least, along periodic axes less than 1; 0 where they are masked. Raises InputError on points outside (of axes that
    are not periodic), of other dimensions or for other samples."""
    _check_places(model, points, like)
    x = points.x.to(torch.promote_types(points.x.dtype, torch.float32))
    box = x.new_tensor([[axis.start, axis.length] for axis in model.grid_in])
    x = ((x - box[:, 0]) / box[:, 1]).to(like.device, torch.promote_types(like.dtype, torch.float32))
    x = x if x.ndim == 3 else x.unsqueeze(0)
    if points.mask is not None:
        x = torch.where(points.mask.unsqueeze(-1), x, 0.0)
    x = torch.where(x.new_tensor([axis.periodic for axis in model.grid_in], dtype=torch.bool), x - x.floor(), x)
    if not (x.is_meta or watched()) and ((x < -MARGIN) | (x > 1 + MARGIN)).any():
        domain = " x ".join(f"[{axis.start:g}, {axis.start + axis.length:g}]" for axis in model.grid_in)
        raise InputError(f"points outside the domain {domain} of this {type(model).__name__}")
    return x


def grid_there(model: OnGrids, out: Grid) -> Grid:
    """An output grid's nodes in the input's domain: of a window in time they follow it, and are taken for its own."""
    pairs = zip(model.grid_in, out, strict=True)
    return Grid(replace(axis, nodes=new.nodes, bc=new.bc, n=new.n) for axis, new in pairs)


def points_there(model: OnGrids, out: Tensor, a: Tensor) -> Points:
    """Points (N, d) or (B, N, d) in the output's domain, as `grid_there` takes its nodes. Raises InputError on points
    outside."""
    pairs = [[(axis.start, axis.length) for axis in grid] for grid in (model.grid_in, model.grid_out)]
    if pairs[0] == pairs[1]:
        return Points(out)
    (start, length), (own, whole) = (out.new_tensor(pair).unbind(-1) for pair in pairs)
    return Points(start + (check_points(model, out, a) - own) * (length / whole))


def nodes(grid: Grid, like: Tensor) -> Points:
    """A grid as the points of its nodes, with their quadrature weights."""
    x, weights = grid.points().flatten(0, -2), grid.weights().flatten()
    return Points(x.to(like.device), weights.to(like.device))
