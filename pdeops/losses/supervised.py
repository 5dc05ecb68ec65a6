"""Relative errors against a reference solution."""

from __future__ import annotations

from torch import Tensor

from pdeops.errors import InputError
from pdeops.norms import Lp, Sobolev, energy_norm, relative_error
from pdeops.window import Batch, Window


class RelativeLp:
    """mean over samples and channels of ||u - v||_p / ||v||_p, v the reference, by the output grid's weights."""

    def __init__(self, window: Window, *, p: float = 2) -> None:
        self.norm = Lp(window.grid_out, p)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self.norm).mean()


class RelativeH1:
    """mean over samples and channels of ||u - v||_{H^1} / ||v||_{H^1}: by Parseval on tori, by differences on grids
    with walls (`energy_norm`)."""

    def __init__(self, window: Window, *, alpha: float = 1) -> None:
        self.norm = energy_norm(window.grid_out, alpha)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self.norm).mean()


class RelativeSobolev:
    """mean over samples and channels of ||u - v||_{H^s} / ||v||_{H^s} by Parseval; its options are `Sobolev`'s."""

    def __init__(
        self, window: Window, *, s: float = 1, alpha: float = 1, cutoff: int | None = None, as_periodic: bool = False
    ) -> None:
        self.norm = Sobolev(window.grid_out, s, alpha, cutoff=cutoff, as_periodic=as_periodic)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self.norm).mean()


def reference_of(batch: Batch) -> Tensor:
    """The batch's reference solution. Raises InputError if it has none."""
    if batch.u is None:
        raise InputError("this loss compares with a reference solution, and the batch has none; use loss=residual")
    return batch.u
