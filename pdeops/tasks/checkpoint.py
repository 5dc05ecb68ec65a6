"""The best epoch and the last one, also across a resumption."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ModelCheckpoint


class BestAndLast(ModelCheckpoint):
    """`best.ckpt` by validation error, and `last.ckpt`, of every epoch, to resume from.

    Lightning itself leaves `last.ckpt` as it is in an epoch that is not the best. A resumed run has a folder of its
    own: Lightning then forgets which epoch was the best so far; here the best checkpoint moves along, so that a resumed
    run ends with the model of the unbroken one.
    """

    def __init__(self, dirpath: str, monitor: str = "val/relative_l2") -> None:
        super().__init__(
            dirpath=dirpath, filename="best", monitor=monitor, save_last=True, enable_version_counter=False
        )

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        super().on_train_epoch_end(trainer, pl_module)
        if not self._should_skip_saving_checkpoint(trainer):  # as what is saved already is
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

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
