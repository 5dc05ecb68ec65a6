"""The best epoch and the last one, also across a resumption."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from pdeops.tasks.storage import Storage

BOOKS = ("current_score", "best_k_models", "kth_best_model_path", "kth_value", "best_model_path", "best_model_score")


class BestAndLast(ModelCheckpoint):
    """`best.ckpt` by validation error, and `last.ckpt`, of every epoch, to resume from; `previous.ckpt` is the last one
    before it (`Storage`).

    Lightning itself leaves `last.ckpt` as it is in an epoch that is not the best. A resumed run has a folder of its
    own: Lightning then forgets which epoch was the best so far; here the best checkpoint moves along, so that a resumed
    run ends with the model of the unbroken one. A best checkpoint that could not be written is not the best.
    """

    def __init__(self, dirpath: str, monitor: str = "val/relative_l2") -> None:
        super().__init__(
            dirpath=dirpath, filename="best", monitor=monitor, save_last=True, enable_version_counter=False
        )
        self._storage = Storage()

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        super().setup(trainer, pl_module, stage)
        trainer.strategy.checkpoint_io = self._storage

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):  # as what is saved already is
            self.save_now(trainer)

    def save_now(self, trainer: L.Trainer) -> None:
        """Make this moment `last.ckpt`."""
        self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def _update_best_and_save(self, current: Tensor, trainer: L.Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        before = {name: getattr(self, name) for name in BOOKS if hasattr(self, name)}
        before["best_k_models"] = dict(self.best_k_models)
        super()._update_best_and_save(current, trainer, monitor_candidates)
        if trainer.strategy.broadcast(self._storage.failed):  # one process writes
            for name, value in before.items():
                setattr(self, name, value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best = Path(state_dict["best_model_path"])
        if state_dict["dirpath"] != self.dirpath and best.is_file():
            assert self.dirpath is not None
            here = Path(self.dirpath) / best.name
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(best, here)
            score = state_dict["best_model_score"]
            state_dict = state_dict | {
                "dirpath": self.dirpath,
                "best_model_path": str(here),
                "best_k_models": {str(here): score},
                "kth_best_model_path": str(here),
                "last_model_path": "",
            }
        super().load_state_dict(state_dict)
