"""Training a compiled model."""

from __future__ import annotations

import lightning as L
import torch

from pdeops.surrogate import Surrogate


class Compile(L.Callback):
    """Compile the surrogate's model by torch.compile before the first step.

    In place: weights keep their names, descriptions and checkpoints their content. One eager call on the run's device
    comes first, so that tables of its grid are constants of the graph (`constants`).
    """

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._call(pl_module).compile()

    def renew(self, pl_module: L.LightningModule) -> None:
        """Make graphs anew where the model has changed for good (its modes, say): torch keeps a few graphs of a model,
        those of no use among them, and runs it uncompiled after that."""
        torch.compiler.reset()
        with torch.compiler.set_stance("force_eager"):
            self._call(pl_module)

    def _call(self, pl_module: L.LightningModule) -> torch.nn.Module:
        surrogate = pl_module.surrogate
        assert isinstance(surrogate, Surrogate)
        window, weight = surrogate.window, next(surrogate.model.parameters())
        with torch.no_grad():
            surrogate.model(weight.new_zeros(1, window.in_channels, *window.grid_in.shape))
        return surrogate.model
