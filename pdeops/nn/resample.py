"""Fields of one lattice on another lattice of the same axes: channels-last, (B, *n, C)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from pdeops.bases.differences import interpolation_matrix
from pdeops.bases.tables import Fourier
from pdeops.constants import constant
from pdeops.grid import Axis, Grid
from pdeops.nn import tables
from pdeops.nn.spectral_conv import Transform

INWARD, OUTWARD = 2, 4  # nodes of interpolation along walls: inputs may jump, outputs are smooth


def lattices(n: Sequence[int], trained: Sequence[int]) -> tuple[str, str]:
    """Two lattices in words."""
    here, there = (" x ".join(map(str, sizes)) for sizes in (n, trained))
    return here, there


def resampled(v: Tensor, grid: Grid, n: Sequence[int], order: int) -> Tensor:
    """(B, *n_in, C) -> (B, *n, C): by the Fourier series on periodic axes, by polynomials through the `order` nearest
    nodes on others (2: linear, which keeps a jump a jump, and takes values where nodes coincide)."""
    for i, (axis, k) in enumerate(zip(grid, n, strict=True), 1):
        if v.shape[i] != k:
            x = v.reshape(prod(v.shape[:i]), v.shape[i], prod(v.shape[i + 1 :]))
            if axis.periodic:
                x = Transform([Fourier(half=True)]).interpolate(x, (k,))
            else:
                x = tables.apply(_local((axis.resized(2), order), (x.shape[1], k), v.dtype, v.device), x)
            v = x.view(*v.shape[:i], k, *v.shape[i + 1 :])
    return v


@constant
def _local(what: tuple[Axis, int], sizes: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    (axis, order), (n, k) = what, sizes
    return interpolation_matrix(axis.resized(n).points(), axis.resized(k).points(), order).to(device, dtype)
