"""Averages over samples and processes, schedules, and what a checkpoint holds."""

import functools
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR, StepLR

from pdeops.grid import Axis, Grid
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


V = torch.randn(5, 1, 8, generator=torch.Generator().manual_seed(0))


class Gain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.g = torch.nn.Parameter(torch.tensor(1.05))

    def forward(self, a, out=None):
        return self.g * a


def fit(scheduler=None, loss=None):
    w = Window().on(Grid((Axis("time", 6, 5.0, "uniform"), Axis("x", 8))), ("u",), ())
    one = Normalizer(torch.zeros(1), torch.ones(1))
    f = Fit(
        Surrogate(Gain(), w, one, one),
        loss or RelativeLp(w),
        optimizer=functools.partial(torch.optim.SGD, lr=1.0),
        scheduler=scheduler,
    )
    t = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return f, t


def loader(batches):
    return torch.utils.data.DataLoader(batches, batch_size=None, generator=torch.Generator())


def test_step_schedules_count_epochs_and_one_cycle_counts_steps():
    for scheduler, interval, steps in (
        (functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1), "epoch", 2),
        (functools.partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1e-3), "step", 6),
    ):
        f, t = fit(scheduler)
        t.fit(f, loader([Batch(V, V)] * 3))
        c = t.lr_scheduler_configs[0]
        assert c.interval == interval
        assert c.scheduler.last_epoch == steps


def test_batches_of_unequal_size_count_by_sample():
    f, t = fit()
    x = [Batch(V[:4], V[:4]), Batch(V[4:], 2.1 * V[4:])]
    (r,) = t.validate(f, loader(x), verbose=False)
    assert r["val/loss"] == pytest.approx((4 * 0.05 + 0.5) / 5, rel=1e-4) == r["val/relative_l2"]


def test_rollouts_meet_their_times():
    f, t = fit()
    truth = V[:, :, None].expand(5, 1, 5, 8)  # error 1.05^k - 1 passes 0.1 between frames 1 and 2
    t.test(f, [loader([Batch(V, V)]), loader([Batch(V, truth)])], verbose=False)
    assert f.results["test/rollout/valid_time"] == pytest.approx(1 + (0.1 - 0.05) / (1.05**2 - 1.05), rel=1e-4)
    assert f.results["test/rollout/relative_l2[1]"] == pytest.approx(0.05, rel=1e-4)


def test_every_epoch_draws_anew():
    f, t = fit()
    drawn = []
    loss = f.loss
    f.loss = lambda u, b: (drawn.append(float(torch.rand(()))), loss(u, b))[1]
    t.fit(f, loader([Batch(V, V)]))
    assert len(set(drawn)) == 2


def test_a_loss_with_a_lattice_gets_the_prediction_there():
    """In training and validation; errors are those on the data's grid."""
    task, seen = make(), []
    lattice = task.surrogate.window.grid_out.resized((12, 10))

    def loss(u, batch):
        seen.append((tuple(u.shape[2:]), batch.out))
        return u.square().mean()

    loss.collocation = lattice
    task.loss, task.log = loss, lambda *_, **__: None
    task.trainer.is_last_batch = False
    a, u = torch.randn(2, 1, 8, 8), torch.randn(2, 1, 8, 8)
    task.training_step(Batch(a), 0)
    task.validation_step(Batch(a, u), 0)
    assert seen == [((12, 10), lattice)] * 2
    expected = RelativeLp(task.surrogate.window)(task.surrogate(a), Batch(a, u))
    assert task._means()["val/relative_l2"] == pytest.approx(float(expected))
