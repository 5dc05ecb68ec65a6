"""Progress of a training: a bar on a terminal, a line per epoch in a log file."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar


class Progress(TQDMProgressBar):
    """Lightning's bar where standard output is a terminal; elsewhere one printed line per epoch."""

    def __init__(self) -> None:
        self._lines = not sys.stdout.isatty()
        super().__init__(refresh_rate=0 if self._lines else 1)
        self._start = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._start = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._lines and trainer.is_global_zero:
            done, total = trainer.current_epoch + 1, trainer.max_epochs
            metrics: dict[str, Any] = trainer.callback_metrics
            values = "  ".join(f"{name} {float(value):.4g}" for name, value in sorted(metrics.items()))
            print(f"epoch {done}/{total}  {values}  [{time.monotonic() - self._start:.0f} s]", flush=True)
