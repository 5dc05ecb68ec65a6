"""Runs that a scheduler may stop at any time."""

from __future__ import annotations

import signal
import threading
from math import inf
from types import FrameType
from typing import Any

import lightning as L
from torch import Tensor

from pdeops.errors import Preempted
from pdeops.tasks.checkpoint import BestAndLast
from pdeops.window import Batch

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
ELSEWHERE = "a signal to another process"


class Preemption(L.Callback):
    """On SIGTERM or SIGUSR1, to any of the processes, make `last.ckpt` of the running step and raise `Preempted`.

    That checkpoint stands in the middle of an epoch, and a run resumed from it is the unbroken one (`Fit`, `Loader`). A
    signal that comes while gradients are accumulated is answered after the optimiser's step, one in an epoch's last
    step or in validation after both, where the epoch's own checkpoint is. Further signals then change nothing. Without
    a `BestAndLast` among the callbacks signals keep their meaning.
    """

    def __init__(self) -> None:
        self._received: str | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Lightning puts the former handlers back when it is done."""
        if not isinstance(trainer.checkpoint_callback, BestAndLast):
            return
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = signal.Signals(number).name

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Tensor | Any, batch: Batch, batch_idx: int
    ) -> None:
        if trainer.world_size == 1 and self._received is None:
            return
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        before_validation = (batch_idx + 1) % (trainer.val_check_batch or inf) == 0
        if stepped and not trainer.is_last_batch and not before_validation and self._asked(trainer):
            checkpoint = trainer.checkpoint_callback
            assert isinstance(checkpoint, BestAndLast)
            checkpoint.save_now(trainer)
            raise Preempted(self._received or ELSEWHERE)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self._asked(trainer):
            raise Preempted(self._received or ELSEWHERE)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.on_train_epoch_start(trainer, pl_module)

    def _asked(self, trainer: L.Trainer) -> bool:
        """Whether any process has received a signal."""
        here = self._received is not None
        return trainer.strategy.reduce_boolean_decision(here, all=False) if trainer.world_size > 1 else here
