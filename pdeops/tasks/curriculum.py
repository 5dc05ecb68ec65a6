"""Few modes first: a spectral curriculum."""

from __future__ import annotations

import lightning as L
import torch

from pdeops.errors import InputError
from pdeops.nn.mixing import Dense, Separable
from pdeops.nn.spectral_conv import SpectralConv


class IncrementalModes(L.Callback):
    """Train with the lowest modes and let the others join, evenly over the epochs, until all stored ones are used.

    share: of the modes of every axis, in the first epoch; epochs: when all are used. Weights of modes that have not
    joined are zero, so that the model at any moment is the same function with and without the limit: checkpoints need
    nothing special, and steps of fewer modes cost less. Source: George et al., Incremental Spatial and Spectral
    Learning of Neural Operators for Solving Large-Scale PDEs, TMLR 2024 (which draws these weights at random and grows
    by the gradients' strength).
    Raises InputError on values out of range, and on a model without dense or separable spectral weights.
    """

    def __init__(self, share: float = 0.25, epochs: int = 20) -> None:
        if not (0 < share <= 1 and epochs >= 1):
            raise InputError(f"callbacks.modes: share={share}, epochs={epochs}; wanted 0 < share <= 1, epochs >= 1")
        self.share, self.epochs = share, epochs

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        convs = [m for m in pl_module.modules() if isinstance(m, SpectralConv)]
        if not convs or not all(isinstance(conv.weight, Dense | Separable) for conv in convs):
            raise InputError(
                "callbacks.modes: this model has no spectral weights, dense or separable, to let in by and by"
            )
        if trainer.ckpt_path is None:
            for conv in convs:
                _silence(conv, _limit(conv, self._share(0)))

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for conv in pl_module.modules():
            if isinstance(conv, SpectralConv):
                conv.limit = _limit(conv, self._share(trainer.current_epoch))

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for conv in pl_module.modules():
            if isinstance(conv, SpectralConv):
                conv.limit = None

    def _share(self, epoch: int) -> float:
        return self.share + (1 - self.share) * min(1.0, epoch / self.epochs)


def _limit(conv: SpectralConv, share: float) -> tuple[int, ...]:
    return tuple(max(1, round(share * k)) for k in conv.stored)


def _silence(conv: SpectralConv, limit: tuple[int, ...]) -> None:
    """Zero the weights of all modes but those within the limit."""
    weight = conv.weight.tensor
    assert isinstance(weight, torch.Tensor)
    inside = torch.ones((), dtype=torch.bool, device=weight.device)
    for basis, stored, kept in zip(conv.transform.bases, conv.stored, limit, strict=True):
        j = torch.arange(stored, device=weight.device) - basis.first(stored, kept)
        inside = inside.unsqueeze(-1) & (j >= 0) & (j < kept)
    with torch.no_grad():
        weight.mul_(inside.view(*inside.shape, *(1,) * (weight.ndim - inside.ndim)))
