"""Patches of a field that stay functions: the same parts of the domain at every resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import pi, prod
from typing import Any

import torch
from numpy.polynomial import legendre
from torch import Tensor

from pdeops.bases.differences import interpolation_matrix
from pdeops.bases.tables import Fourier, Parts
from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid, Nodes
from pdeops.nn import tables
from pdeops.nn.on_grids import OnGrids, for_each_axis, nodes_wanted
from pdeops.nn.on_points import grid_there, points_there, scaled
from pdeops.nn.resample import INWARD, OUTWARD, onto, onto_points_of_each

GAUSS = tuple(tuple(x.tolist()) for x in legendre.leggauss(6))  # nodes and weights


@dataclass(frozen=True, kw_only=True)
class PatchFourier(Fourier):
    """exp(2 pi i f t) on a patch, t in [0, 1]; coefficients are those of the cubics through the nodes (`cubics`).
    shared: nodes are both ends' and between, else cell centres.

    Sums over the nodes would be wrong where a patch's ends differ, by the more the higher f is: of a line, at f = 3,
    by half at eight intervals and by an eighth at sixteen.
    """

    shared: bool

    def resolved(self, n: int) -> int:
        """Without a mode that a lattice takes for another one."""
        top = (n - 1 - self.shared) // 2
        return top + 1 if self.half else 2 * top + 1

    def analysis(self, n: int, k: int) -> Parts:
        t, integrals = cubics(n, self.shared)
        angle = self._angles(k, t)
        return Parts(angle.cos() @ integrals, -angle.sin() @ integrals)

    def synthesis(self, n: int, k: int, n_in: int, stored: int) -> Parts:
        angle = self._angles(k, patch_nodes(n, self.shared))
        scale = torch.where(self._frequencies(k) == 0, 1.0, 2.0).double().view(-1, 1) if self.half else 1.0
        return Parts((scale * angle.cos()).T, (scale * angle.sin()).T)

    def _angles(self, k: int, t: Tensor) -> Tensor:
        return 2 * pi * torch.outer(self._frequencies(k).double(), t)


class Patches:
    """The axes of a box cut into `counts` patches each, whose functions are tensors (B, patches, *nodes, C).

    On cells a patch has its own nodes; on periodic and uniform axes neighbours share the node between them. Integrals
    are those of cubics through the nodes, of fourth order; means over patches where all axes have cells are by
    midpoints, and seams between cells by lines, both of second order. Half-open axes (left, right) get the end that is
    missing by linear extrapolation, and are uniform then; Chebyshev nodes are interpolated to uniform ones. Where
    patches have no whole number of intervals, or fewer than 2 `tops` + 1, which frequencies up to `tops` need to be
    told apart, fields are interpolated to the next lattice that has them (`lattice`).

    patches, modes: of the model, one or one each; tops: half of `modes`, rounded down. Raises InputError on sizes out
    of range, and where the patches of the grid itself are too small for the modes.
    """

    def __init__(self, grid: Grid, patches: int | Sequence[int], modes: int | Sequence[int]) -> None:
        self.counts, self.modes = for_each_axis("patches", patches, grid), for_each_axis("modes", modes, grid)
        if min(self.counts) < 1 or min(self.modes) < 1:
            raise InputError(f"model.patches={patches}, model.modes={modes}: wanted at least 1")
        self.grid = Grid(_working(axis).resized(2) for axis in grid)
        self.tops = tuple(k // 2 for k in self.modes)
        for axis, count, top in zip(grid, self.counts, self.tops, strict=True):
            there = axis.intervals / count
            if there < 2 * top + 1:
                raise InputError(
                    f"axis {axis.name!r}: {axis.n} {axis.nodes} nodes in {count} patches are {there:g} intervals each, "
                    f"and modes of frequencies up to {top} need {2 * top + 1}: wanted model.patches at most "
                    f"{axis.intervals // (2 * top + 1)}, model.modes at most {2 * max(0, (int(there) - 1) // 2) + 1}, "
                    f"or {(2 * top + 1) * count + axis.n - axis.intervals} nodes"
                )

    def lattice(self, grid: Grid) -> Grid:
        """The nodes that patches have: those of the grid, or the next ones that the patches divide."""
        found = []
        for axis, own, count, top in zip(grid, self.grid, self.counts, self.tops, strict=True):
            each = max(-(-axis.intervals // count), 2 * top + 1)  # rounded up
            found.append(own.resized(each * count + (own.nodes == "uniform")))
        return Grid(found)

    def told(self, model: OnGrids, n: Sequence[int]) -> str | None:
        """What a user should know of an input of n nodes; None where patches divide it."""
        grid = model.grid_in.resized(n)
        there = self.lattice(grid)
        if all(axis.intervals == new.intervals for axis, new in zip(grid, there, strict=True)):
            return None
        here, parts, new = (" x ".join(map(str, sizes)) for sizes in (n, self.counts, there.shape))
        return f"{type(model).__name__} has {parts} patches, and {here} nodes are interpolated to {new} and back"

    def cut(self, v: Tensor, lattice: Grid) -> Tensor:
        """(B, *lattice, C) -> (B, patches, *nodes of one, C)."""
        sizes = self.sizes(lattice)
        for i, (axis, count, size) in enumerate(zip(lattice, self.counts, sizes, strict=True), 1):
            if axis.nodes != "cell":
                v = v.index_select(i, _index(axis.periodic, (count, size), v.dtype, v.device))
        d = len(sizes)
        v = v.reshape(v.shape[0], *(k for pair in zip(self.counts, sizes, strict=True) for k in pair), v.shape[-1])
        v = v.permute(0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2), 2 * d + 1)
        return v.reshape(v.shape[0], prod(self.counts), *sizes, v.shape[-1])

    def join(self, v: Tensor, lattice: Grid) -> Tensor:
        """(B, patches, *nodes of one, C) -> (B, *lattice, C), continuous across the patches' seams.

        Along each axis in turn a patch gets the linear function that takes its end values to the means of both sides':
        the continuous field that differs least in slope. On cells end values are extrapolated from two nodes. What is
        continuous stays as it is, on cells to second order.
        """
        sizes, d = v.shape[2:-1], v.ndim - 3
        v = v.reshape(v.shape[0], *self.counts, *sizes, v.shape[-1])
        v = v.permute(0, *(k for i in range(1, d + 1) for k in (i, i + d)), 2 * d + 1)
        v = v.reshape(v.shape[0], *(p * k for p, k in zip(self.counts, sizes, strict=True)), v.shape[-1])
        for i, (axis, count, size) in enumerate(zip(lattice, self.counts, sizes, strict=True), 1):
            v = tables.along(_continuous(axis.nodes, (count, size), v.dtype, v.device), v, i)
        return v

    def sizes(self, lattice: Grid) -> tuple[int, ...]:
        """Nodes of a patch along each axis."""
        return tuple(a.intervals // p + (a.nodes != "cell") for a, p in zip(lattice, self.counts, strict=True))

    def places(self, lattice: Grid, like: Tensor) -> Tensor:
        """(patches, *nodes of one, d): where they sit, the domain scaled to [0, 1]; both ends of a period differ."""
        what = tuple((axis.nodes != "cell", p) for axis, p in zip(lattice, self.counts, strict=True))
        return _places(what, self.sizes(lattice), like.dtype, like.device)

    def weights(self, lattice: Grid, like: Tensor) -> Tensor | None:
        """(nodes of a patch): quadrature weights, which sum to one; None where they are equal."""
        shared = tuple(axis.nodes != "cell" for axis in lattice)
        return _weights(shared, self.sizes(lattice), like.dtype, like.device) if any(shared) else None

    def bases(self) -> list[PatchFourier]:
        """Of a patch's axes, the last the half spectrum of a real field."""
        last = self.grid.ndim - 1
        return [PatchFourier(half=i == last, shared=axis.nodes != "cell") for i, axis in enumerate(self.grid)]

    def frequencies(self) -> tuple[int, ...]:
        """How many each axis keeps, both signs together: as many of one as of the other."""
        return tuple(2 * top + 1 for top in self.tops)


def from_grid(patches: Patches, model: OnGrids, a: Tensor, coordinates: bool) -> tuple[Tensor, Grid]:
    """The patches of a (B, C, *n), with the nodes' places appended if `coordinates`, and their lattice."""
    grid = model.grid_in.resized(a.shape[2:])
    lattice = patches.lattice(grid)
    v = patches.cut(onto(a.movedim(1, -1), grid, lattice, INWARD), lattice)
    if coordinates:
        x = patches.places(lattice, v)
        v = torch.cat([v, x.expand(v.shape[0], *x.shape)], -1)
    return v, lattice


def to_wanted(u: Tensor, lattice: Grid, model: OnGrids, a: Tensor, out: Grid | Tensor | None) -> Tensor:
    """(B, *lattice, C) -> (B, C, *n) on the grid wanted, or (B, C, N) at points (N, d) or (B, N, d)."""
    if isinstance(out, Tensor):
        points = points_there(model, out, a)
        scaled(model, points, a)  # which refuses what is outside
        return onto_points_of_each(u, lattice, points.x, OUTWARD).movedim(-1, 1)
    there = grid_there(model, model.grid_out.resized(nodes_wanted(model, a.shape[2:], out)))
    return onto(u, lattice, there, OUTWARD).movedim(-1, 1)


def patch_nodes(n: int, shared: bool) -> Tensor:
    """(n), float64, in [0, 1]."""
    j = torch.arange(n, dtype=torch.float64)
    return j / (n - 1) if shared else (j + 0.5) / n


def cubics(n: int, shared: bool) -> tuple[Tensor, Tensor]:
    """Places t (m) in [0, 1], and the matrix (m, n), float64, that takes values v at the nodes to a vector y for which
    sum_i g(t_i) y_i is the integral of g times the cubics through each four neighbours of v (fewer where there are
    fewer), which at the ends of cells' patches continue.

    By Gauss' rule between nodes, and between nodes and ends: to 1e-10 for g of up to half a period there.
    """
    nodes, weights = torch.tensor(GAUSS, dtype=torch.float64)
    halves = 2 * (n - shared)  # of the intervals: on cells, nodes are amid them
    t = ((torch.arange(halves).unsqueeze(1) + (nodes + 1) / 2) / halves).flatten()
    values = interpolation_matrix(patch_nodes(n, shared), t, 4)
    return t, (weights / (2 * halves)).repeat(halves).unsqueeze(1) * values


def patch_weights(n: int, shared: bool) -> Tensor:
    """(n), float64: of the means on [0, 1] of the cubics through the nodes."""
    return cubics(n, shared)[1].sum(0)


def _working(axis: Axis) -> Axis:
    if axis.nodes in ("left", "right", "chebyshev"):
        return replace(axis, nodes="uniform", n=max(axis.n, 2))
    return axis


@constant
def _index(periodic: bool, sizes: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(count size): which node of an axis whose patches share their ends."""
    count, size = sizes
    j = (size - 1) * torch.arange(count).unsqueeze(1) + torch.arange(size)
    return (j % (count * (size - 1)) if periodic else j).flatten().to(device)


@constant
def _continuous(kind: Nodes, sizes: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(n, count size), of `Patches.join`."""
    count, size = sizes
    shared = kind != "cell"
    v = torch.eye(count * size, dtype=torch.float64).view(count, size, -1)
    start, end = v[:, 0], v[:, -1]
    if not shared and size > 1:
        start, end = 1.5 * start - 0.5 * v[:, 1], 1.5 * end - 0.5 * v[:, -2]
    low, high = (end.roll(1, 0) + start) / 2, (end + start.roll(-1, 0)) / 2
    if kind != "periodic":  # walls keep their values
        low[0], high[-1] = start[0], end[-1]
    t = patch_nodes(size, shared).view(-1, 1)
    v = v + (low - start).unsqueeze(1) * (1 - t) + (high - end).unsqueeze(1) * t
    rows = [(v[:, :-1] if shared else v).flatten(0, 1)]
    if kind == "uniform":
        rows.append(v[-1, -1:])
    return torch.cat(rows).to(device, dtype)


@constant
def _places(what: Any, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    lines = []
    for (shared, count), size in zip(what, sizes, strict=True):
        lines.append((torch.arange(count).unsqueeze(1) + patch_nodes(size, shared)) / count)
    d = len(lines)
    places = []
    for i, line in enumerate(lines):
        shape = [1] * (2 * d)
        shape[i], shape[d + i] = line.shape
        places.append(line.view(shape).expand(*(len(x) for x in lines), *sizes))
    return torch.stack(places, -1).flatten(0, d - 1).to(device, dtype)


@constant
def _weights(shared: Any, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    w = torch.ones((), dtype=torch.float64)
    for ends, size in zip(shared, sizes, strict=True):
        w = w.unsqueeze(-1) * patch_weights(size, ends)
    return w.flatten().to(device, dtype)
