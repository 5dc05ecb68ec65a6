"""Values at points, of fields on a grid and of scattered ones: channels-last, (B, *n, C) or (B, N, C)."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor

from pdeops.bases.differences import interpolation_weights
from pdeops.grid import Axis, Grid


def at_points(v: Tensor, grid: Grid, x: Tensor, order: int) -> Tensor:
    """(B, *n, C), the field on grid's nodes, at places x (N, d) or (B, N, d) of its domain -> (B, N, C).

    Of the product of the polynomials through the `order` nearest nodes along each axis, which wrap on periodic ones:
    the error is O(h^order), and nodes have their own values. Differentiable in v and in x.
    """
    places = x.to(v.device, torch.float64)
    weights = torch.ones_like(places[..., :1])
    index = torch.zeros_like(weights, dtype=torch.long)
    for axis, y in zip(grid, places.unbind(-1), strict=True):
        points, nodes = (t.to(v.device) for t in _around(axis, order))
        near, shares = interpolation_weights(points, y, order)
        index = (index.unsqueeze(-1) * axis.n + nodes[near].unsqueeze(-2)).flatten(-2)
        weights = (weights.unsqueeze(-1) * shares.unsqueeze(-2)).flatten(-2)
    values = _taken(v.flatten(1, -2), index)
    return (weights.to(v.dtype).unsqueeze(-1) * values).sum(-2)


def nearby(v: Tensor, x: Tensor, here: Tensor | None, to: Tensor, periodic: Sequence[bool] = ()) -> Tensor:
    """(B, N, C), values at places x (B or 1, N, d) where `here` (B, N), at places `to` (B or 1, M, d) -> (B, M, C).

    sum w_i v_i / sum w_i of the d + 2 nearest points, w = (1/r - 1/R)^2, r their distances, R that of the furthest:
    continuous in `to`, and points have their own values. periodic: which axes are circles of length one, through which
    distances are chords; none by default. Source: Franke and Nielson, Smooth interpolation of large sets
    of scattered data, 1980 (Shepard's method, localised).
    """
    batch, count = v.shape[0], x.shape[-1] + 2
    x, to = (_wound(places, periodic) for places in (x, to))
    r = torch.cdist(to, x, compute_mode="donot_use_mm_for_euclid_dist").expand(batch, -1, -1)
    if here is not None:
        r = r.masked_fill(~here.unsqueeze(1), torch.inf)
    r, index = r.topk(min(count, x.shape[-2]), largest=False)
    tiny = torch.finfo(r.dtype).eps
    near = 1 / r.clamp_min(tiny)
    w = (near - near[..., -1:]).square() + torch.where(r.isfinite(), tiny, 0.0)  # where all are as far, equal
    return ((w / w.sum(-1, keepdim=True)).to(v.dtype).unsqueeze(-1) * _taken(v, index)).sum(-2)


def _wound(x: Tensor, periodic: Sequence[bool]) -> Tensor:
    """Places (..., d), those of a circle as points of the plane: equal distances, where they are small."""
    if not any(periodic):
        return x
    parts: list[Tensor] = []
    for y, circle in zip(x.split(1, -1), periodic, strict=True):
        angle = 2 * pi * y
        parts += [angle.cos() / (2 * pi), angle.sin() / (2 * pi)] if circle else [y]
    return torch.cat(parts, -1)


def _around(axis: Axis, order: int) -> tuple[Tensor, Tensor]:
    """Places of nodes, those of a periodic axis continued by `order` to each side, and which nodes they are."""
    if not axis.periodic:
        return axis.points(), torch.arange(axis.n)
    j = torch.arange(-order, axis.n + order)
    return axis.start + axis.length / axis.n * j.double(), j % axis.n


def _taken(v: Tensor, index: Tensor) -> Tensor:
    """(B, N, C) at indices (B or no B, M, k) -> (B, M, k, C)."""
    index = index.expand(v.shape[0], -1, -1)
    flat = index.flatten(1).unsqueeze(-1).expand(-1, -1, v.shape[-1])
    return v.gather(1, flat).unflatten(1, index.shape[1:])
