"""How long an epoch takes."""

from __future__ import annotations

import time

import lightning as L


class Clock(L.Callback):
    """Logs `train/seconds`: from an epoch's first batch to its end, loading, validation and checkpoint included, on
    the wall clock of whatever machine it is; over several processes their mean."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("train/seconds", time.perf_counter() - self._start, sync_dist=True)
