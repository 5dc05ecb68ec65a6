"""Fields known at the nodes of a lattice as functions: along periodic axes their Fourier series, along others the
polynomial through all of their Chebyshev nodes, or that of them which satisfies the axis' condition.

Axis by axis, so that neither memory nor tables grow with the number of all nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from pdeops.bases.differences import differentiation_matrix, interpolation_matrix, series_interpolation_matrix
from pdeops.constants import constant
from pdeops.grid import Axis, Grid
from pdeops.nn import tables

ENTRIES = 2**24  # that points take at a time, on their way


def lattice_of(grid: Grid, nodes: Sequence[int]) -> Grid:
    """The lattice of so many nodes per axis of a grid's domain: Chebyshev's where an axis is not periodic."""
    return Grid(
        Axis(axis.name, n, axis.length, "periodic" if axis.periodic else "chebyshev", axis.start, axis.bc)
        for axis, n in zip(grid, nodes, strict=True)
    )


def evaluation(axis: Axis, x: Tensor) -> Tensor:
    """(len(x), n), float64: values at the nodes of a periodic or chebyshev axis -> the function's at places x.

    bc: dirichlet or neumann ends have no value of their own: that of the polynomial through the nodes between them which
    vanishes, or whose slope does, at both ends. On a time axis from its start on: (x - start) / length times the
    polynomial, which vanishes there.
    """
    if axis.periodic:
        return series_interpolation_matrix(axis.n, (x.double() - axis.start) / axis.length)
    points = axis.points()
    table = interpolation_matrix(points, x, axis.n)
    if axis.name == "time":
        return (x.double()[:, None] - axis.start) / axis.length * table
    if axis.bc == "free":
        return table
    condition = torch.eye(axis.n, dtype=torch.float64)
    if axis.bc == "neumann":
        condition = differentiation_matrix(points, axis.n - 1)
    ends, between = [0, axis.n - 1], slice(1, -1)
    at_ends = torch.linalg.solve(condition[ends][:, ends], condition[ends, between])
    inner = torch.zeros_like(table)
    inner[:, between] = table[:, between] - table[:, ends] @ at_ends
    return inner


def on_lattice(v: Tensor, lattice: Grid, out: Grid) -> Tensor:
    """(B, *lattice, C) -> (B, *out, C): the function at the nodes of another grid of the same axes."""
    for i in sorted(range(lattice.ndim), key=lambda i: out.shape[i] / lattice.shape[i]):  # shrinking axes first
        what = lattice[i], out[i]
        v = tables.along(_between(what, (), v.dtype, v.device), v, i + 1)
    return v


def at_places(v: Tensor, lattice: Grid, y: Tensor) -> Tensor:
    """(B, *lattice, C) at places y (N, d), or (B, N, d) of each sample's own -> (B, N, C)."""
    if y.ndim == 3:
        return torch.cat([at_places(one[None], lattice, own) for one, own in zip(v, y, strict=True)])
    batch, channels = v.shape[0], v.shape[-1]
    at_a_time = max(1, ENTRIES // (batch * channels * prod(lattice.shape[1:])))
    parts = []
    for some in y.cpu().split(at_a_time):
        first, *others = (evaluation(axis, x).to(v) for axis, x in zip(lattice, some.unbind(-1), strict=True))
        values = torch.tensordot(first, v, ([1], [1])).movedim(1, 0)
        for table in others:
            values = torch.einsum("pn,bpn...->bp...", table, values)
        parts.append(values)
    return torch.cat(parts, 1)


@constant
def _between(what: tuple[Axis, Axis], sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    here, there = what
    return evaluation(here, there.points()).to(device, dtype).contiguous()
