"""Conservative finite-volume operators on boxes, a batch of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from pdeops.errors import InputError


@dataclass(frozen=True, eq=False)
class FiniteVolumes:
    """(A u)_i = sum over the axes of F_(i+1) - F_i, plus reaction_i u_i, with the flux F_i = forward_i u_(i-1)
    - backward_i u_i through the face between the unknowns i - 1 and i of a line.

    forward, backward: per axis (B, *shape) with one entry more along that axis. Outermost faces lead to a value of zero
    outside (coefficient zero: a wall), on a periodic axis to the other end, the first and the last being one face.
    Equal ones (the same tensors) make the operator symmetric, conductances. reaction: (B, *shape) or None;
    periodic: per axis. Raises InputError on shapes that do not fit.
    """

    forward: tuple[Tensor, ...]
    backward: tuple[Tensor, ...]
    reaction: Tensor | None = None
    periodic: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        if not self.periodic:
            object.__setattr__(self, "periodic", (False,) * len(self.forward))
        batch, shape = self.batch, self.shape
        for d, faces in [*enumerate(self.forward), *enumerate(self.backward)]:
            wanted = (batch, *shape[:d], shape[d] + 1, *shape[d + 1 :])
            if tuple(faces.shape) != wanted:
                raise InputError(f"faces along axis {d} of shape {tuple(faces.shape)}; wanted {wanted}")
        if self.reaction is not None and tuple(self.reaction.shape) != (batch, *shape):
            raise InputError(f"a reaction of shape {tuple(self.reaction.shape)}; wanted {(batch, *shape)}")

    @classmethod
    def symmetric(
        cls, faces: Sequence[Tensor], reaction: Tensor | None = None, periodic: tuple[bool, ...] = ()
    ) -> FiniteVolumes:
        """The operator of these conductances."""
        return cls(tuple(faces), tuple(faces), reaction, periodic)

    @property
    def is_symmetric(self) -> bool:
        return all(f is b for f, b in zip(self.forward, self.backward, strict=True))

    @property
    def batch(self) -> int:
        return self.forward[0].shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one vector of unknowns."""
        first = self.forward[0].shape[1:]
        return (first[0] - 1, *first[1:])

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __getitem__(self, samples: slice | list[int]) -> FiniteVolumes:
        """Some of the batch."""
        forward = tuple(f[samples] for f in self.forward)
        backward = forward if self.is_symmetric else tuple(b[samples] for b in self.backward)
        return FiniteVolumes(
            forward, backward, None if self.reaction is None else self.reaction[samples], self.periodic
        )

    def apply(self, u: Tensor) -> Tensor:
        """A u of fields (B, *shape), or of (*shape) where the batch is one; differentiable."""
        if u.ndim == len(self.shape):
            return self.apply(u[None])[0]
        out = self.reaction * u if self.reaction is not None else torch.zeros_like(u)
        for d, (forward, backward, periodic) in enumerate(
            zip(self.forward, self.backward, self.periodic, strict=True), 1
        ):
            n = u.shape[d]
            if periodic:
                extended = torch.cat([u.narrow(d, n - 1, 1), u, u.narrow(d, 0, 1)], dim=d)
            else:
                extended = functional.pad(u, [0, 0] * (u.ndim - 1 - d) + [1, 1])
            flux = forward * extended.narrow(d, 0, n + 1) - backward * extended.narrow(d, 1, n + 1)
            out = out + flux.narrow(d, 1, n) - flux.narrow(d, 0, n)
        return out

    def inflow(self, d: int, below: Tensor | float, above: Tensor | float) -> Tensor:
        """What values outside the two ends of axis d add to the right-hand side, (B, *shape)."""
        d, n = d + 1, self.shape[d]
        out = self.forward[d - 1].new_zeros((self.batch, *self.shape))
        out.narrow(d, 0, 1).add_(self.forward[d - 1].narrow(d, 0, 1) * below)
        out.narrow(d, n - 1, 1).add_(self.backward[d - 1].narrow(d, n, 1) * above)
        return out

    @cached_property
    def diagonal(self) -> Tensor:
        """(B, *shape)"""
        out = torch.zeros_like(self.reaction) if self.reaction is not None else None
        for d, (forward, backward) in enumerate(zip(self.forward, self.backward, strict=True), 1):
            n = self.shape[d - 1]
            part = forward.narrow(d, 1, n) + backward.narrow(d, 0, n)
            out = part if out is None else out + part
        assert out is not None
        return out if self.reaction is None else out + self.reaction

    @property
    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """indptr and indices of the matrices of `values`, which all have the same pattern."""
        return _pattern(self.shape, self.periodic)[:2]

    @property
    def values(self) -> np.ndarray:
        """The entries of the matrices (B, nnz), in the order of `pattern`."""
        place = _pattern(self.shape, self.periodic)[2]
        entries = [self.diagonal.flatten(1)]
        for d, (forward, backward) in enumerate(zip(self.forward, self.backward, strict=True), 1):
            n, first = self.shape[d - 1], 0 if self.periodic[d - 1] else 1
            entries.append(-forward.narrow(d, first, n - first).flatten(1))  # of u_(i-1) in row i
            entries.append(-backward.narrow(d, 1, n - first).flatten(1))  # of u_(i+1) in row i
        return torch.cat([x.expand(self.batch, -1) for x in entries], dim=1).cpu().numpy()[:, place]

    def matrix(self, i: int = 0) -> sparse.csr_array:
        """The matrix of sample i, rows and columns in the order of the flattened unknowns."""
        indptr, indices = self.pattern
        return sparse.csr_array((self[[i]].values[0], indices, indptr), shape=(self.size, self.size))


@lru_cache(maxsize=16)
def _pattern(shape: tuple[int, ...], periodic: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, indices, and where in the list (diagonal, then per axis the neighbours below and above) each entry is."""
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
