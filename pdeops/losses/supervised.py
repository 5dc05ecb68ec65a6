"""Errors against a reference solution, on the lattice on which it comes, or at points."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.norms import AtPoints, Lp, OnLattice, Sobolev, energy_norm, relative_error
from pdeops.window import Batch, Window


class RelativeLp:
    """mean over samples and channels of ||u - v||_p / ||v||_p, v the reference, by its lattice's weights; both norms by
    plain means over points drawn in proportion to them (`data.queries`)."""

    def __init__(self, window: Window, *, p: float = 2) -> None:
        self.norm = OnLattice(window.grid_out, partial(Lp, p=p))
        self.at_points = AtPoints(window.grid_out.volume, p)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        norm = self.at_points if isinstance(batch.out, Tensor) else self.norm
        return relative_error(u, reference_of(batch), norm).mean()


class MeanSquare:
    """mean over samples, channels and the domain of ((u - v) / scale)^2, v the reference: by its lattice's weights, or
    a plain mean over points drawn in proportion to them (`data.queries`). For few points, since relative errors there
    divide by values near zero.

    scale: of each channel; None: 1, and in training the channel's deviation in the data.
    """

    def __init__(self, window: Window, *, scale: Sequence[float] | None = None) -> None:
        channels = window.out_channels
        if scale is not None and (len(scale) != channels or not min(scale) > 0):
            raise InputError(f"loss.scale={list(scale)}: wanted {channels} positive numbers, one for each channel")
        self.scale = torch.tensor(scale or (1.0,) * channels)
        self.norm, self.at_points = OnLattice(window.grid_out, Lp), AtPoints(window.grid_out.volume)
        self.volume = window.grid_out.volume

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        norm = self.at_points if isinstance(batch.out, Tensor) else self.norm
        with torch.inference_mode(False):  # an inference tensor could not serve a later training step
            self.scale = self.scale.to(u.device)
        return (norm(u - reference_of(batch)) / self.scale).square().mean() / self.volume


class RelativeH1:
    """mean over samples and channels of ||u - v||_{H^1} / ||v||_{H^1}: by Parseval on tori, by differences on grids
    with walls (`energy_norm`)."""

    def __init__(self, window: Window, *, alpha: float = 1) -> None:
        self.norm = OnLattice(window.grid_out, partial(energy_norm, alpha=alpha))

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        on_a_lattice(batch)
        return relative_error(u, reference_of(batch), self.norm).mean()


class RelativeSobolev:
    """mean over samples and channels of ||u - v||_{H^s} / ||v||_{H^s} by Parseval; its options are `Sobolev`'s."""

    def __init__(
        self, window: Window, *, s: float = 1, alpha: float = 1, cutoff: int | None = None, as_periodic: bool = False
    ) -> None:
        norm = partial(Sobolev, s=s, alpha=alpha, cutoff=cutoff, as_periodic=as_periodic)
        self.norm = OnLattice(window.grid_out, norm)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        on_a_lattice(batch)
        return relative_error(u, reference_of(batch), self.norm).mean()


def reference_of(batch: Batch) -> Tensor:
    """The batch's reference solution. Raises InputError if it has none."""
    if batch.u is None:
        raise InputError("this loss compares with a reference solution, and the batch has none; use loss=residual")
    return batch.u


def on_a_lattice(batch: Batch) -> None:
    """Raise InputError if the batch asks at points, of which there are no slopes."""
    if isinstance(batch.out, Tensor):
        raise InputError("this loss takes slopes or spectra of fields on a lattice, not values at points: take loss=l2")
