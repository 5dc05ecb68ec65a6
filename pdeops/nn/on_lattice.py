"""What models share whose output is one series on the whole domain: the lattice that carries it, inputs there, and its
values anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from typing import Protocol

import torch
from torch import Tensor

from pdeops.bases.expansions import Expansion, Series, along, orthonormal
from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.on_grids import OnGrids, nodes_wanted
from pdeops.nn.queries import check_points
from pdeops.nn.resample import SMOOTH, onto_points, spectrally


class OnLattice(OnGrids, Protocol):
    """lattice: of the network; series: of the output; collocation: where values come in double precision."""

    out_channels: int
    lattice: Grid
    series: Expansion

    @property
    def collocation(self) -> Grid: ...


def lattice_of(grid: Grid, nodes: Sequence[int]) -> Grid:
    """So many nodes on each axis of a grid's domain: Chebyshev's where it is not periodic."""
    return Grid(map(_carrying, grid, nodes))


def evolves(grid_in: Grid, grid_out: Grid) -> bool:
    """Whether a history comes in and later frames are wanted."""
    return grid_in.time is not None and grid_in.time != grid_out.time


def vanishes(model: OnLattice) -> bool:
    """Whether functions that are zero on dirichlet walls are the output themselves, and not added to a last frame."""
    return not evolves(model.grid_in, model.grid_out) and any(axis.bc == "dirichlet" for axis in model.lattice)


def finer(model: OnLattice, factor: float) -> Grid:
    """The lattice on which products of so many outputs are resolved; the factor t of an evolution is a degree more."""
    grows = evolves(model.grid_in, model.grid_out)
    sizes = [axis.n + (grows and axis.name == "time") for axis in model.lattice]
    return model.lattice.resized([ceil(factor * n) for n in sizes])


def inputs(model: OnLattice, a: Tensor, lattice: Grid) -> Tensor:
    """a (B, C, *grid_in) at the nodes of the lattice, or of its space, channels-last; of a history the frames are
    channels, alike at all times.

    Raises InputError on a history of another length."""
    if not evolves(model.grid_in, model.grid_out):
        return spectrally(a.movedim(1, -1), model.grid_in.resized(a.shape[2:]), lattice)
    if a.shape[2] != model.grid_in[0].n:
        name = type(model).__name__
        raise InputError(f"a history of {a.shape[2]} frames; this {name} was built for {model.grid_in[0].n}")
    v = spectrally(a.flatten(1, 2).movedim(1, -1), _space(model, a), lattice.space)
    return v if lattice.time is None else v.unsqueeze(1).expand(-1, lattice[0].n, *v.shape[1:])


def output(model: OnLattice, c: Tensor, a: Tensor, out: Grid | Tensor | None) -> Tensor:
    """The series of coefficients c (B, C, *modes) on `out`, or at points (N, d) or (B, N, d). Of an evolution
    w + (t - start) / length times it, w the last frame of a, the history.

    Raises InputError on other axes, and on places outside of the domain."""
    if isinstance(out, Tensor):
        y = check_points(model, out, a)
        if y.ndim == 2:
            return _at_points(model, c, a, y)
        return torch.cat([_at_points(model, c[[i]], a[[i]], own) for i, own in enumerate(y)])
    grid, lattice, series = _wanted(model, a, out), model.lattice, model.series
    if grid == model.collocation:
        a = a.double()
    c = c.to(a.dtype)
    if lattice == grid.resized(lattice.shape):  # a single frame is no grid of chebyshev nodes
        u = series.to_values(c, grid.shape)
    else:
        u = c
        for dim, (one, axis) in enumerate(zip(series.series, grid, strict=True), -grid.ndim):
            u = along(_values((one, axis.resized(2)), (axis.n,), c.dtype, c.device), u, dim)
    if not evolves(model.grid_in, model.grid_out):
        return u
    w = spectrally(_last(model, a).movedim(1, -1), _space(model, a), grid.space).movedim(-1, 1)
    passed = (grid[0].points() - lattice[0].start) / lattice[0].length
    return w.unsqueeze(2) + passed.view(-1, *(1,) * grid.space.ndim).to(u) * u


def smoothed(series: Expansion, c: Tensor) -> Tensor:
    """Coefficients (B, C, *modes) of lambda_1 (-Laplace)^-1 of a field, lambda_1 its least eigenvalue that is positive;
    what has the eigenvalue 0 becomes zero."""
    for dim, one in enumerate(series.series, -len(series.series)):
        c = along(_eigen((one, True), (), c.dtype, c.device), c, dim)
    c = c * _inverse(series.series, (), c.dtype, c.device)
    for dim, one in enumerate(series.series, -len(series.series)):
        c = along(_eigen((one, False), (), c.dtype, c.device), c, dim)
    return c


@constant
def _values(what: tuple[Series, Axis], sizes: tuple[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of the functions of a series, at the n nodes of an axis."""
    series, axis = what
    return series.values(axis.resized(*sizes).points()).to(device, dtype)


@constant
def _eigen(what: tuple[Series, bool], sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Coefficients to those of the orthonormal eigenfunctions, and back."""
    series, there = what
    return (orthonormal(series) if there else series.eigen().vectors).to(device, dtype)


@constant
def _inverse(what: tuple[Series, ...], sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    eigenvalues = Expansion(what).eigenvalues
    positive = eigenvalues > 1e-9 * eigenvalues.max()
    return torch.where(positive, eigenvalues[positive].min() / eigenvalues, 0.0).to(device, dtype)


def _at_points(model: OnLattice, c: Tensor, a: Tensor, y: Tensor) -> Tensor:
    """(B, C, N) at places (N, d)."""
    u = model.series.at_points(c.to(a.dtype), y)
    if not evolves(model.grid_in, model.grid_out):
        return u
    w = onto_points(_last(model, a).movedim(1, -1), _space(model, a), y[:, 1:], SMOOTH).movedim(-1, 1)
    return w + ((y[:, 0] - model.lattice[0].start) / model.lattice[0].length).to(u) * u


def _wanted(model: OnLattice, a: Tensor, out: Grid | None) -> Grid:
    """Where the output is wanted; without `out` at the resolution of `a`."""
    own = model.grid_out
    if isinstance(out, Grid):
        if out.names == own.space.names:  # at the trained times
            out = own[: own.ndim - out.ndim] + out
        if out.names == own.names:
            check_points(model, torch.stack([axis.points()[[0, -1]] for axis in out], -1), a)
            return out
    return own.resized(nodes_wanted(model, a.shape[2:], out))


def _last(model: OnLattice, a: Tensor) -> Tensor:
    """The last frame of a history, (B, out_channels, *space)."""
    return a[:, : model.out_channels, -1]


def _space(model: OnLattice, a: Tensor) -> Grid:
    return model.grid_in.space.resized(a.shape[3:])


def _carrying(axis: Axis, n: int) -> Axis:
    return replace(axis, n=n, nodes="periodic" if axis.periodic else "chebyshev")
