"""A running mean of the weights."""

from __future__ import annotations

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy

from pdeops.errors import InputError


class Average(EMAWeightAveraging):
    """m <- decay m + (1 - decay) w after every optimiser's step, m = w after the first. Validation, checkpoints and the
    surrogate take m; a checkpoint holds w beside it (`current_model_state`), and training goes on from w.

    Buffers (a batch norm's statistics) are those of w. Raises InputError unless 0 <= decay < 1, and where the weights
    are in shards (trainer=fsdp).
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise InputError(f"callbacks.ema.decay={decay}: wanted 0 <= decay < 1, such as 0.999")
        super().__init__(decay=decay, use_buffers=False)

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if isinstance(trainer.strategy, ModelParallelStrategy):
            raise InputError("callbacks=ema averages whole weights; with trainer=fsdp they are in shards: trainer=ddp")
        super().setup(trainer, pl_module, stage)
