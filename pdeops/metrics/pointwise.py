"""Errors of fields (..., *space) against a reference; each returns (...)."""

from __future__ import annotations

import torch
from torch import Tensor

from pdeops.grid import Grid
from pdeops.norms import check_shape


def vrmse(u: Tensor, v: Tensor, grid: Grid, eps: float = 1e-7) -> Tensor:
    """sqrt(mean (u - v)^2 / (var v + eps)), plain means over the nodes, the variance unbiased.

    Exactly The Well's VRMSE (PolymathicAI/the_well, benchmark/metrics/spatial.py), whose eps flatters fields
    of small variance: eps = 0 does not.
    """
    check_shape(u, grid)
    dims = tuple(range(-grid.ndim, 0))
    return ((u - v).square().mean(dims) / (v.var(dims, correction=1) + eps)).sqrt()


def pearson(u: Tensor, v: Tensor, grid: Grid) -> Tensor:
    """Correlation over the nodes, cov(u, v) / (sd u sd v); 1 for identical fields that vary, NaN for constants."""
    check_shape(u, grid)
    dims = tuple(range(-grid.ndim, 0))
    u, v = (_standard(x, dims) for x in (u, v))
    return (u * v).sum(dims) / (u.square().sum(dims).sqrt() * v.square().sum(dims).sqrt())


def _standard(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """x less its mean, over its largest deviation, so that squares neither overflow nor vanish; NaN for constants."""
    mean = x.mean(dims, keepdim=True)
    largest = (x - mean).abs().amax(dims, keepdim=True)
    varies = largest > 8 * torch.finfo(x.dtype).eps * mean.abs()
    return (x - mean) / torch.where(varies, largest, torch.nan)


def boundary_rmse(u: Tensor, v: Tensor, grid: Grid) -> Tensor:
    """Root mean square of u - v over the boundary of the non-periodic axes.

    Each face is integrated with the weights of the other axes, so that corners count as their measure says.
    On axes whose end points are not nodes, the nodes nearest to the face stand for it.
    """
    check_shape(u, grid)
    e2 = (u - v).square()
    total, measure = e2.new_zeros(e2.shape[: -grid.ndim]), 0.0
    for i, axis in enumerate(grid):
        if axis.periodic:
            continue
        weights = Grid(grid[:i] + grid[i + 1 :]).weights().to(e2)
        dims = tuple(range(-grid.ndim + 1, 0))
        for end in (0, -1):
            face = weights * e2.select(i - grid.ndim, end)
            total = total + (face.sum(dims) if dims else face)
            measure += float(weights.sum())
    return (total / measure).sqrt()
