"""Fields of one lattice on another lattice of the same axes, or at points: channels-last, (B, *n, C)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, Protocol

import torch
from torch import Tensor

from pdeops.bases.differences import interpolation_matrix, series_interpolation_matrix
from pdeops.bases.tables import Fourier
from pdeops.constants import constant
from pdeops.grid import Axis, Grid
from pdeops.nn import tables
from pdeops.nn.spectral_conv import Transform

INWARD, OUTWARD = 2, 4  # nodes of interpolation along walls: inputs may jump, outputs are smooth
SMOOTH = 8  # of fields that have many derivatives
ENTRIES = 2**24  # that points take at a time, on their way

THROUGH = "interpolated to {there} nodes and back"


class Resampling(Protocol):
    """A model that has a way to other lattices than its own."""

    grid_in: Grid
    resolution: Any


def told(model: Resampling, n: Sequence[int], ways: Mapping[str, str]) -> str | None:
    """What a user should know of an input of n nodes: which of the `ways`, sentences by name, the model takes from
    `here` to the nodes `there`, on which it was trained. None on those."""
    if tuple(n) == model.grid_in.shape:
        return None
    here, there = (" x ".join(map(str, sizes)) for sizes in (n, model.grid_in.shape))
    way = ways[model.resolution].format(here=here, there=there)
    return f"{type(model).__name__}, trained on {there} nodes, takes {here} by resolution={model.resolution}: {way}"


def resampled(v: Tensor, grid: Grid, n: Sequence[int], order: int) -> Tensor:
    """(B, *n_in, C) -> (B, *n, C), nodes of the kinds of `grid`: as `onto`."""
    for i, (axis, k) in enumerate(zip(grid, n, strict=True), 1):
        if v.shape[i] != k:  # numbers, which may be a compiler's symbols: those are not put into axes
            v = _along(v, i, axis, axis, k, order)
    return v


def onto(v: Tensor, here: Grid, there: Grid, order: int) -> Tensor:
    """(B, *n_here, C) -> (B, *n_there, C), on grids of one domain: by the Fourier series on axes that are periodic, by
    polynomials through the `order` nearest nodes on others (2: linear, which keeps a jump a jump, and takes values
    where nodes coincide), also beyond the last node of half-open axes."""
    for i, (axis, new) in enumerate(zip(here, there, strict=True), 1):
        if (axis.nodes, axis.n) != (new.nodes, new.n):  # a compiler's symbols, which whole axes do not compare
            v = _along(v, i, axis, new, new.n, order)
    return v


def spectrally(v: Tensor, here: Grid, there: Grid) -> Tensor:
    """(B, *n_here, C) -> (B, *n_there, C), of smooth fields: by the whole series on periodic and on chebyshev axes, by
    polynomials through the eight nearest nodes on others."""
    for i, (axis, new) in enumerate(zip(here, there, strict=True), 1):
        if axis != new:
            v = _along(v, i, axis, new, new.n, axis.n if axis.nodes == "chebyshev" else SMOOTH)
    return v


def _along(v: Tensor, i: int, here: Axis, there: Axis, n: int, order: int) -> Tensor:
    """From the nodes of v's dimension i, of the kind of `here`, to n of the kind of `there`."""
    if not here.periodic:
        what = here.resized(2), there.resized(2), order
        return tables.along(_local(what, (v.shape[i], n), v.dtype, v.device), v, i)
    x = v.reshape(prod(v.shape[:i]), v.shape[i], prod(v.shape[i + 1 :]))
    return Transform([Fourier(half=True)]).interpolate(x, (n,)).view(*v.shape[:i], n, *v.shape[i + 1 :])


def onto_points(v: Tensor, grid: Grid, y: Tensor, order: int) -> Tensor:
    """(B, *grid, C) at points y (N, d) in the units of the grid: (B, N, C), as `onto`."""
    batch, channels = v.shape[0], v.shape[-1]
    at_a_time = max(1, ENTRIES // (batch * channels * prod(grid.shape[1:])))
    parts = []
    for some in y.split(at_a_time):
        values = torch.tensordot(_at(grid[0], some[:, 0], order).to(v), v, ([1], [1])).movedim(1, 0)
        for axis, x in zip(grid[1:], some.unbind(-1)[1:], strict=True):
            values = torch.einsum("pn,bpn...->bp...", _at(axis, x, order).to(v), values)
        parts.append(values)
    return torch.cat(parts, 1)


def elsewhere(v: Tensor, here: Grid, where: Grid | Tensor) -> Tensor:
    """(B, *n_here, C), of smooth fields, on another grid or at points (N, d) or (B, N, d): (B, *where, C), as
    `spectrally`; between walls by one polynomial through all nodes."""
    if isinstance(where, Grid):
        return spectrally(v, here, where)
    return onto_points_of_each(v, here, where, max(here.shape))


def onto_points_of_each(v: Tensor, grid: Grid, y: Tensor, order: int) -> Tensor:
    """`onto_points` (N, d), or (B, N, d) of each sample."""
    if y.ndim == 2:
        return onto_points(v, grid, y, order)
    return torch.cat([onto_points(v[[i]], grid, own, order) for i, own in enumerate(y)])


def _at(axis: Axis, x: Tensor, order: int) -> Tensor:
    """(N, n): the values at x of what is known at the nodes of an axis."""
    if axis.periodic:
        return series_interpolation_matrix(axis.n, (x.double() - axis.start) / axis.length)
    return interpolation_matrix(axis.points().to(x.device), x.contiguous(), order)


@constant
def _local(what: tuple[Axis, Axis, int], sizes: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    (here, there, order), (n, k) = what, sizes
    return interpolation_matrix(here.resized(n).points(), there.resized(k).points(), order).to(device, dtype)
