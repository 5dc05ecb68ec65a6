"""How long an epoch takes."""

from __future__ import annotations

import time
from typing import Any

import lightning as L


class Clock(L.Callback):
    """Logs `train/seconds`: from an epoch's first batch to its end, loading, validation and checkpoint included, on
    the wall clock of whatever machine it is; over several processes their mean. Of an epoch in which a run was stopped
    and resumed, its parts are added."""

    def __init__(self) -> None:
        self._start = self._before = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.perf_counter() - self._before  # in the middle of an epoch that is resumed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("train/seconds", time.perf_counter() - self._start, sync_dist=True)

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": time.perf_counter() - self._start}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before = state_dict["seconds"]
