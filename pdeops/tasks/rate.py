"""A learning rate from a trial."""

from __future__ import annotations

from pathlib import Path

import lightning as L
from lightning.pytorch.callbacks import LearningRateFinder

from pdeops.errors import InputError
from pdeops.tasks.fit import Fit


class FindRate(LearningRateFinder):
    """Before training, take `steps` steps at rates that rise from `low` to `high`, go back to the start, and train at
    the rate where the loss fell steepest; draw both.

    A run that is resumed keeps its rate. Source: Smith, Cyclical Learning Rates for Training Neural Networks (2017), in
    Lightning's version. Raises InputError where no rate can be told.
    """

    def __init__(self, figure: str, low: float = 1e-6, high: float = 0.1, steps: int = 100) -> None:
        super().__init__(min_lr=low, max_lr=high, num_training_steps=steps, update_attr=False)
        self.figure = Path(figure)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.ckpt_path is not None:
            return
        assert isinstance(pl_module, Fit)
        epochs, trainer.fit_loop.max_epochs = trainer.fit_loop.max_epochs, -1  # the trial may take more than the run
        self.lr_find(trainer, pl_module)
        trainer.fit_loop.max_epochs = epochs
        rate = self.optimal_lr.suggestion() if self.optimal_lr else None
        if rate is None:
            raise InputError("callbacks=lr_finder: no rate can be told from so few steps; raise callbacks.lr.steps")
        pl_module.rate = rate
        trainer.strategy.setup_optimizers(trainer)
        if trainer.is_global_zero:
            self.figure.parent.mkdir(parents=True, exist_ok=True)
            drawn = self.optimal_lr.plot(suggest=True)  # type: ignore[union-attr]
            drawn.savefig(self.figure)  # type: ignore[union-attr]
            print(f"training at the rate found, optimizer.lr={rate:.2g}: {self.figure}", flush=True)
