"""Relative errors against a reference solution, on the lattice on which it comes."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from pdeops.errors import InputError
from pdeops.norms import Lp, OnLattice, Sobolev, energy_norm, relative_error
from pdeops.window import Batch, Window


class RelativeLp:
    """mean over samples and channels of ||u - v||_p / ||v||_p, v the reference, by its lattice's weights."""

    def __init__(self, window: Window, *, p: float = 2) -> None:
        self.norm = OnLattice(window.grid_out, partial(Lp, p=p))

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self.norm).mean()


class RelativeH1:
    """mean over samples and channels of ||u - v||_{H^1} / ||v||_{H^1}: by Parseval on tori, by differences on grids
    with walls (`energy_norm`)."""

    def __init__(self, window: Window, *, alpha: float = 1) -> None:
        self.norm = OnLattice(window.grid_out, partial(energy_norm, alpha=alpha))

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self.norm).mean()


class RelativeSobolev:
    """mean over samples and channels of ||u - v||_{H^s} / ||v||_{H^s} by Parseval; its options are `Sobolev`'s."""

    def __init__(
        self, window: Window, *, s: float = 1, alpha: float = 1, cutoff: int | None = None, as_periodic: bool = False
    ) -> None:
        norm = partial(Sobolev, s=s, alpha=alpha, cutoff=cutoff, as_periodic=as_periodic)
        self.norm = OnLattice(window.grid_out, norm)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self.norm).mean()


def reference_of(batch: Batch) -> Tensor:
    """The batch's reference solution. Raises InputError if it has none."""
    if batch.u is None:
        raise InputError("this loss compares with a reference solution, and the batch has none; use loss=residual")
    return batch.u
