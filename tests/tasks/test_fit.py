"""Averages over samples and processes, schedules, and what a checkpoint holds."""

import functools
from types import SimpleNamespace

import pytest
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from pdeops.grid import Grid
from pdeops.losses.supervised import RelativeLp
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.tasks.fit import Fit
from pdeops.window import Batch, Window


def make(**options):
    window = Window().on(Grid.periodic((8, 8)), ("u",), ("a",))
    model = FNO(1, 1, window.grid_in, window.grid_out, width=4, modes=4, depth=1)
    one = Normalizer(torch.zeros(1), torch.ones(1))
    task = Fit(
        Surrogate(model, window, one, one), RelativeLp(window), optimizer=functools.partial(AdamW, lr=1e-2), **options
    )
    task.trainer = SimpleNamespace(world_size=1, estimated_stepping_batches=40)  # type: ignore[assignment]
    return task


def test_unequal_batches_count_by_their_samples():
    task = make()
    a, u = torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    for part in (slice(0, 3), slice(3, 4)):
        task.validation_step(Batch(a[part], u[part]), 0)
    means = task._means()
    expected = task.loss(task.surrogate(a), Batch(a, u))
    assert means["val/loss"] == pytest.approx(float(expected))
    assert means["val/relative_l2"] == pytest.approx(float(expected))
    assert task._means() == {}


@pytest.mark.parametrize(
    ("scheduler", "interval", "steps"),
    [
        (functools.partial(OneCycleLR, max_lr=1e-2), "step", 40),
        (CosineAnnealingLR, "step", 40),
        (functools.partial(StepLR, step_size=3), "epoch", None),
    ],
)
def test_schedules_know_the_length_of_the_run(scheduler, interval, steps):
    found = make(scheduler=scheduler).configure_optimizers()["lr_scheduler"]
    assert found["interval"] == interval
    assert steps in (None, getattr(found["scheduler"], "total_steps", None), getattr(found["scheduler"], "T_max", None))
    assert isinstance(make().configure_optimizers(), AdamW)


def test_a_checkpoint_holds_plain_values():
    task, checkpoint = make(settings={"seed": 0}), {}
    task.on_save_checkpoint(checkpoint)
    assert checkpoint["settings"] == {"seed": 0}
    assert checkpoint["surrogate"] == task.surrogate.describe()
