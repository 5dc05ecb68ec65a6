"""Progress of a training: a bar on a terminal, a line per epoch in a log file."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import TQDMProgressBar

from pdeops.window import Batch


class Progress(TQDMProgressBar):
    """Lightning's bar where standard output is a terminal; elsewhere one printed line per epoch. Both tell samples a
    second, the time of a step, the share of waiting for data, and what is left."""

    def __init__(self) -> None:
        self._lines = not sys.stdout.isatty()
        super().__init__(refresh_rate=0 if self._lines else 1)
        self._start = self._epoch = self._now = self._waited = 0.0
        self._first = self._samples = self._steps = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._start, self._first = time.monotonic(), trainer.current_epoch

    def on_train_epoch_start(self, trainer: L.Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer, *_)
        self._epoch = self._now = time.monotonic()
        self._waited, self._samples, self._steps = 0.0, 0, 0

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, *_: Any) -> None:
        super().on_train_batch_start(trainer, pl_module, batch, *_)
        now = time.monotonic()
        self._waited += now - self._now
        self._now = now

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        self._now = time.monotonic()
        self._samples += len(batch.a) * trainer.world_size
        self._steps += 1
        super().on_train_batch_end(trainer, pl_module, outputs, batch, *_)

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        return {**super().get_metrics(trainer, pl_module), **self._rates()}

    def _rates(self) -> dict[str, str]:
        """Of the epoch so far: samples a second, a step's time, and the share of the time that was spent waiting for
        data (loading, and what stands between two steps)."""
        seconds = self._now - self._epoch
        if seconds <= 0 or not self._steps:
            return {}
        step = 1000 * (seconds - self._waited) / self._steps
        share = self._waited / seconds
        return {"samples/s": f"{self._samples / seconds:.3g}", "step": f"{step:.3g} ms", "data": f"{share:.0%}"}

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if self._lines and trainer.is_global_zero:
            done, total = trainer.current_epoch + 1, trainer.max_epochs
            metrics: dict[str, Any] = trainer.callback_metrics
            values = "  ".join(f"{name} {float(value):.4g}" for name, value in sorted(metrics.items()))
            seconds = time.monotonic() - self._start
            told = [f"{seconds:.0f} s", *(f"{name} {value}" for name, value in self._rates().items())]
            if total and total > done:
                told.insert(1, f"{seconds / (done - self._first) * (total - done):.0f} s left")
            print(f"epoch {done}/{total}  {values}  [{', '.join(told)}]", flush=True)
