"""Conservative finite-volume operators on boxes, a batch of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import inf, prod

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from pdeops.bases import trigonometric
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid


def unknowns(grid: Grid) -> tuple[int, ...]:
    """The shape of the unknowns on a grid: all nodes, but those at the ends of a uniform axis with Dirichlet
    conditions."""
    return tuple(axis.n - 2 * _pinned(axis) for axis in grid)


def inner(u: Tensor, grid: Grid, but: int | None = None) -> Tensor:
    """The unknowns (..., *unknowns) of a field (..., *grid); with all nodes of axis `but`."""
    for d, axis in enumerate(grid):
        if d != but and _pinned(axis):
            u = u.narrow(d - grid.ndim, 1, axis.n - 2)
    return u


def placed(x: Tensor, grid: Grid, outside: Tensor | float = 0.0) -> Tensor:
    """The inverse of `inner`: unknowns among values of `outside` (broadcastable to the field) at the other nodes."""
    u = torch.empty((*x.shape[: x.ndim - grid.ndim], *grid.shape), dtype=x.dtype, device=x.device)
    u[...] = outside
    inner(u, grid)[...] = x
    return u


def spacing(axis: Axis) -> float:
    """The distance of two nodes. Raises InputError on nodes that are not equally spaced or hold one end of two."""
    if axis.nodes not in ("periodic", "cell", "uniform"):
        raise InputError(f"axis {axis.name!r}: finite volumes need periodic, cell or uniform nodes; got {axis.nodes}")
    if axis.n - 2 * _pinned(axis) < 1:
        raise InputError(f"axis {axis.name!r}: n={axis.n} leaves no unknown between its ends")
    return trigonometric.spacing(axis)


def ends(axis: Axis) -> float:
    """The distance of an outermost unknown from the boundary value beyond it, in spacings; inf where there is none."""
    if axis.bc != "dirichlet":
        return inf
    return 1.0 if axis.nodes == "uniform" else 0.5


def areas(grid: Grid, d: int) -> Tensor:
    """The relative areas of faces across axis d, broadcastable to fields: the volumes without that axis."""
    return volumes(grid[:d] + grid[d + 1 :]).unsqueeze(d)


def volumes(grid: Grid) -> Tensor:
    """The volumes around the unknowns relative to those inside the box, (*unknowns), float64: 1, and half of it at each
    end of a uniform axis that is an unknown itself."""
    out = torch.ones((), dtype=torch.float64)
    for axis in grid:
        w = torch.ones(axis.n - 2 * _pinned(axis), dtype=torch.float64)
        if axis.nodes == "uniform" and not _pinned(axis):
            w[[0, -1]] = 0.5
        out = out.unsqueeze(-1) * w
    return out


def _pinned(axis: Axis) -> bool:
    return axis.nodes == "uniform" and axis.bc == "dirichlet"


@dataclass(frozen=True, eq=False)
class FiniteVolumes:
    """(A u)_i = sum over the axes of F_(i+1) - F_i, plus reaction_i u_i, with the flux F_i = forward_i u_(i-1)
    - backward_i u_i through the face between the unknowns i - 1 and i of a line.

    forward, backward: per axis (B, *unknowns) with one entry more along that axis. The outermost faces lead to values
    outside, which `inflow` brings to the right-hand side (coefficient zero: a wall); of a periodic axis they are one
    face, twice. Equal ones (the same tensors) make the operator symmetric: conductances. reaction: (B, *unknowns) or
    None. Raises InputError on shapes that do not fit the grid.
    """

    grid: Grid
    forward: tuple[Tensor, ...]
    backward: tuple[Tensor, ...]
    reaction: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.shape
        for d, faces in [*enumerate(self.forward), *enumerate(self.backward)]:
            wanted = (self.batch, *shape[:d], shape[d] + 1, *shape[d + 1 :])
            if tuple(faces.shape) != wanted:
                raise InputError(f"faces along axis {d} of shape {tuple(faces.shape)}; wanted {wanted} on {self.grid}")
        if self.reaction is not None and tuple(self.reaction.shape) != (self.batch, *shape):
            raise InputError(f"a reaction of shape {tuple(self.reaction.shape)}; wanted {(self.batch, *shape)}")

    @property
    def symmetric(self) -> bool:
        return all(f is b for f, b in zip(self.forward, self.backward, strict=True))

    @property
    def batch(self) -> int:
        return self.forward[0].shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the unknowns of one system."""
        return unknowns(self.grid)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def dtype(self) -> torch.dtype:
        parts = self.forward if self.reaction is None else (*self.forward, self.reaction)
        return torch.complex128 if any(x.is_complex() for x in parts) else parts[0].dtype

    def __getitem__(self, samples: slice | list[int]) -> FiniteVolumes:
        """Some of the batch."""
        forward = tuple(f[samples] for f in self.forward)
        backward = forward if self.symmetric else tuple(b[samples] for b in self.backward)
        reaction = None if self.reaction is None else self.reaction[samples]
        return FiniteVolumes(self.grid, forward, backward, reaction)

    def scaled(self, c: Tensor) -> FiniteVolumes:
        """c_i A_i, c (B,)."""

        def times(x: Tensor) -> Tensor:
            return x * c.view(-1, *(1,) * (x.ndim - 1))

        forward = tuple(times(f) for f in self.forward)
        backward = forward if self.symmetric else tuple(times(b) for b in self.backward)
        return FiniteVolumes(self.grid, forward, backward, None if self.reaction is None else times(self.reaction))

    def cpu(self) -> FiniteVolumes:
        """The same in the memory of the CPU."""
        if self.forward[0].device.type == "cpu":
            return self
        forward = tuple(f.cpu() for f in self.forward)
        backward = forward if self.symmetric else tuple(b.cpu() for b in self.backward)
        return FiniteVolumes(self.grid, forward, backward, None if self.reaction is None else self.reaction.cpu())

    def apply(self, u: Tensor) -> Tensor:
        """A u of fields (B, *unknowns), or of (*unknowns) where the batch is one; differentiable."""
        if u.ndim == len(self.shape):
            return self.apply(u[None])[0]
        out = torch.zeros_like(u) if self.reaction is None else self.reaction * u
        for d, (axis, forward, backward) in enumerate(zip(self.grid, self.forward, self.backward, strict=True), 1):
            n = u.shape[d]
            if axis.periodic:
                extended = torch.cat([u.narrow(d, n - 1, 1), u, u.narrow(d, 0, 1)], dim=d)
            else:
                extended = functional.pad(u, [0, 0] * (u.ndim - 1 - d) + [1, 1])
            flux = forward * extended.narrow(d, 0, n + 1) - backward * extended.narrow(d, 1, n + 1)
            out = out + flux.narrow(d, 1, n) - flux.narrow(d, 0, n)
        return out

    def inflow(self, d: int, below: Tensor | float, above: Tensor | float) -> Tensor:
        """What values outside the two ends of axis d add to the right-hand side, (B, *unknowns)."""
        n = self.shape[d]
        out = self.forward[d].new_zeros((self.batch, *self.shape))
        out.narrow(d + 1, 0, 1).add_(self.forward[d].narrow(d + 1, 0, 1) * below)
        out.narrow(d + 1, n - 1, 1).add_(self.backward[d].narrow(d + 1, n, 1) * above)
        return out

    @cached_property
    def diagonal(self) -> Tensor:
        """(B, *unknowns)"""
        out = self.forward[0].new_zeros((self.batch, *self.shape)) if self.reaction is None else self.reaction
        for d, (forward, backward) in enumerate(zip(self.forward, self.backward, strict=True)):
            n = self.shape[d]
            out = out + forward.narrow(d + 1, 1, n) + backward.narrow(d + 1, 0, n)
        return out

    @property
    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """indptr and indices of all matrices of operators of this shape."""
        return _pattern(self.shape, tuple(axis.periodic for axis in self.grid))[:2]

    @property
    def values(self) -> np.ndarray:
        """The entries of the matrices (B, nnz), in the order of `pattern`."""
        place = _pattern(self.shape, tuple(axis.periodic for axis in self.grid))[2]
        entries = [self.diagonal.flatten(1)]
        for d, (axis, forward, backward) in enumerate(zip(self.grid, self.forward, self.backward, strict=True)):
            n, first = self.shape[d], 0 if axis.periodic else 1
            entries.append(-forward.narrow(d + 1, first, n - first).flatten(1))  # of u_(i-1) in row i
            entries.append(-backward.narrow(d + 1, 1, n - first).flatten(1))  # of u_(i+1) in row i
        return torch.cat([x.to(self.dtype) for x in entries], dim=1).cpu().numpy()[:, place]

    def matrix(self, i: int = 0) -> sparse.csr_array:
        """The matrix of sample i, rows and columns in the order of the flattened unknowns."""
        indptr, indices = self.pattern
        return sparse.csr_array((self[[i]].values[0], indices, indptr), shape=(self.size, self.size))


@lru_cache(maxsize=16)
def _pattern(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, indices, and where each entry is in the list of diagonal and, per axis, neighbours below and above."""
    index = np.arange(prod(shape), dtype=np.int32).reshape(shape)
    rows, columns = [index.ravel()], [index.ravel()]
    for d, wraps in enumerate(periodic):
        here = np.moveaxis(index, d, 0)
        if wraps and len(here) < 3:
            raise InputError(f"a periodic axis of {len(here)} nodes; a matrix needs at least 3")
        below, above = (np.roll(here, 1, 0), np.roll(here, -1, 0)) if wraps else (here[:-1], here[1:])
        for row, column in ((here if wraps else here[1:], below), (here if wraps else here[:-1], above)):
            rows.append(np.moveaxis(row, 0, d).ravel())
            columns.append(np.moveaxis(column, 0, d).ravel())
    row, column = np.concatenate(rows), np.concatenate(columns)
    place = np.lexsort((column, row))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=index.size))]).astype(np.int32)
    return indptr, column[place], place
