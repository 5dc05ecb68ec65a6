"""Training in less memory."""

from __future__ import annotations

from functools import partial

import lightning as L
from torch import nn
from torch.utils.checkpoint import checkpoint

from pdeops.errors import InputError
from pdeops.surrogate import Surrogate
from pdeops.tasks.pieces import pieces


class Recompute(L.Callback):
    """Keep only what enters the model's blocks (`pieces`) for the backward pass, and compute the rest of them again
    there: less memory for about a third more time.

    In place, for the time of the fit: weights, names and files do not know of it. Raises InputError where a model has
    no blocks.
    """

    def __init__(self) -> None:
        self._blocks: list[nn.Module] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        surrogate = pl_module.surrogate
        assert isinstance(surrogate, Surrogate)
        self._blocks = list(pieces(surrogate.model))
        if not self._blocks:
            raise InputError(f"recompute=true: {type(surrogate.model).__name__} has no blocks one after the other")
        for block in self._blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        for block in self._blocks:
            block.__dict__.pop("forward", None)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        self.on_fit_end(trainer, pl_module)
