"""Seconds of each epoch, in whatever the run logs to."""

from types import SimpleNamespace

import lightning as L
import torch

from pdeops.tasks import clock


class Line(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Seen(L.Callback):
    """What a progress line after the clock can show."""

    def __init__(self):
        self.values = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.values.append(float(trainer.callback_metrics["train/seconds"]))


def test_an_epoch_lasts_from_its_start_to_its_end(monkeypatch):
    readings, seen = iter((0.0, 10.0, 12.5, 20.0, 21.0)), Seen()
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", callbacks=[clock.Clock(), seen], **quiet)
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(3, 1), batch_size=None))
    assert seen.values == [2.5, 1.0]


def test_an_epoch_that_was_left_goes_on(monkeypatch):
    readings = iter((10.0, 14.0, 100.0))
    monkeypatch.setattr(clock, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    left, resumed = clock.Clock(), clock.Clock()
    left.on_train_epoch_start(None, None)
    resumed.load_state_dict(left.state_dict())
    resumed.on_train_start(None, None)
    assert resumed._start == 96.0
