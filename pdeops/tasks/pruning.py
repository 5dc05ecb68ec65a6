"""Trials of a search, told to its study epoch by epoch."""

from __future__ import annotations

from pathlib import Path

import lightning as L

from pdeops.clusters import package
from pdeops.study import open_study


class Pruning(L.Callback):
    """Tells a study the validation error of each epoch, and ends the training when the study's pruner gives it up, with
    the trial's attribute `pruned`.

    study: the search's folder; trial: the identity of the trial in its storage.
    """

    def __init__(self, study: str, trial: int, monitor: str = "val/relative_l2") -> None:
        self.study, self.trial, self.monitor = study, trial, monitor

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            optuna = package("optuna", "search", "callbacks.pruning")
            self._trial = optuna.Trial(open_study(Path(self.study), samples=False), self.trial)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        hopeless, error = False, trainer.callback_metrics.get(self.monitor)
        if trainer.is_global_zero and error is not None and error.isfinite():
            self._trial.report(float(error), trainer.current_epoch)
            hopeless = self._trial.should_prune()
            if hopeless:
                self._trial.set_user_attr("pruned", True)
        if trainer.strategy.reduce_boolean_decision(hopeless, all=False):
            trainer.should_stop = True
