"""Few modes first: a spectral curriculum."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from pdeops.bases.tables import Basis, Fourier
from pdeops.errors import InputError
from pdeops.nn.mixing import Dense, Separable
from pdeops.nn.spectral_conv import SpectralConv
from pdeops.tasks.compiled import Compile

Limit = tuple[int, ...] | None


class IncrementalModes(L.Callback):
    """Train with the lowest modes and let the others join, in steps of one size, until all stored ones are used.

    share: of the modes of every axis, in the first epoch; epochs: when all are used; stages: numbers of modes on the
    way, the first and all among them, for each of which a compiled model (compile=true) is compiled once. Weights of
    modes that have not joined are zero, whatever they were before, so that the model at any moment is the same function
    with and without the limit: checkpoints need nothing special, and steps of fewer modes cost less. Source: George et
    al., Incremental Spatial and Spectral Learning of Neural Operators for Solving Large-Scale PDEs, TMLR 2024 (which
    draws these weights at random and grows by the gradients' strength).
    Raises InputError on values out of range, on a model without dense or separable spectral weights, and where a run is
    resumed in which modes have been trained that would join only later.
    """

    def __init__(self, share: float = 0.25, epochs: int = 20, stages: int = 4) -> None:
        if not (0 < share <= 1 and epochs >= 1 and stages >= 2):
            raise InputError(
                f"callbacks.modes: share={share}, epochs={epochs}, stages={stages}; wanted 0 < share <= 1, "
                "epochs >= 1, stages >= 2"
            )
        self.share, self.epochs, self.stages = share, epochs, stages

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        convs = list(_convs(pl_module))
        if not convs or not all(isinstance(conv.weight, Dense | Separable) for conv in convs):
            raise InputError(
                "callbacks.modes: this model has no spectral weights that can join; with model=fno take "
                "model.weights=dense or separable"
            )
        if trainer.max_epochs is not None and 0 <= trainer.max_epochs < self.epochs:
            rank_zero_warn(
                f"callbacks.modes.epochs={self.epochs}: a run of trainer.max_epochs={trainer.max_epochs} ends before "
                "all modes have joined; those that have not stay zero"
            )
        if trainer.ckpt_path is None:
            for conv in convs:
                conv.limit = self._limit(conv, 0)
                _weight(conv).masked_fill_(_outside(conv), 0)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._set(trainer, pl_module)
        if any((_outside(conv) & (_weight(conv) != 0)).any() for conv in _convs(pl_module)):
            raise InputError(
                f"callbacks.modes: ckpt_path={trainer.ckpt_path} has trained modes that would join only after epoch "
                f"{trainer.current_epoch}: resume with the share, epochs and stages of its run, or without this "
                "callback if that had none"
            )

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._set(trainer, pl_module)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for conv in _convs(pl_module):
            conv.limit = None

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.on_fit_end(trainer, pl_module)

    def _set(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The limits of this epoch."""
        grown = False
        for conv in _convs(pl_module):
            before, conv.limit = conv.limit, self._limit(conv, trainer.current_epoch)
            grown = grown or conv.limit != before
        if grown:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                if isinstance(callback, Compile):
                    callback.renew(pl_module)

    def _limit(self, conv: SpectralConv, epoch: int) -> Limit:
        last = self.stages - 1
        stage = epoch * last // self.epochs
        if stage >= last:
            return None
        share = self.share + (1 - self.share) * stage / last
        pairs = zip(conv.transform.bases, conv.stored, strict=True)
        return tuple(_whole(basis, stored, max(1, round(share * stored))) for basis, stored in pairs)


def _whole(basis: Basis, stored: int, kept: int) -> int:
    """Both signs of a frequency join together: on as many nodes, an even number of modes would end in a half of the
    Nyquist mode, which is another function without the limit."""
    both = isinstance(basis, Fourier) and not basis.half
    return min(kept | 1, stored) if both else kept


def _convs(pl_module: L.LightningModule) -> Iterator[SpectralConv]:
    return (m for m in pl_module.modules() if isinstance(m, SpectralConv))


def _weight(conv: SpectralConv) -> Tensor:
    weight = conv.weight.tensor
    assert isinstance(weight, Tensor)
    return weight.detach()


def _outside(conv: SpectralConv) -> Tensor:
    """Which modes are not within the limit, to be broadcast against the weights."""
    weight = _weight(conv)
    inside = torch.ones((), dtype=torch.bool, device=weight.device)
    for basis, stored, kept in zip(conv.transform.bases, conv.stored, conv.limit or conv.stored, strict=True):
        j = torch.arange(stored, device=weight.device) - basis.first(stored, kept)
        inside = inside.unsqueeze(-1) & (j >= 0) & (j < kept)
    return ~inside.view(*inside.shape, *(1,) * (weight.ndim - inside.ndim))
