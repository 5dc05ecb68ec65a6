"""Options of training by configuration alone: they do what they say, and compose with epochs and schedules."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import pdeops
from tests.test_resuming import STOP, curve, same


def weights(folder):
    return pdeops.load(folder).state_dict()


def close(a, b, **tolerances):
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, **tolerances)


def test_two_accumulated_batches_are_one_of_twice_the_size(run, mine):
    options = [*mine, "trainer.max_epochs=2", "scheduler=onecycle", "optimizer.lr=1e-2"]  # 24 samples
    assert run("train", *options, "data.batch_size=8", "hydra.run.dir=one")[0] == 0
    two = ["data.batch_size=4", "trainer.accumulate_grad_batches=2", "hydra.run.dir=two"]
    assert run("train", *options, *two)[0] == 0
    close(weights("one"), weights("two"), rtol=1e-4, atol=1e-5)
    last = [torch.load(f"{n}/checkpoints/last.ckpt", weights_only=True) for n in ("one", "two")]
    assert last[0]["lr_schedulers"][0]["last_epoch"] == last[1]["lr_schedulers"][0]["last_epoch"] == 6
    assert last[0]["lr_schedulers"][0]["total_steps"] == last[1]["lr_schedulers"][0]["total_steps"] == 6


def test_gradients_are_clipped(run, mine):
    """A step of plain descent is no longer than rate times norm."""
    options = [
        *mine,
        "scheduler=null",
        "optimizer.weight_decay=0",
        "optimizer._target_=torch.optim.SGD",
        "optimizer.lr=1",
    ]
    options += ["data.batch_size=24", "trainer.gradient_clip_val=1e-3", "test=false"]
    for epochs in (1, 2):
        assert run("train", *options, f"trainer.max_epochs={epochs}", f"hydra.run.dir={epochs}")[0] == 0
    a, b = (torch.load(f"{n}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for n in (1, 2))
    assert sum((a[k].double() - b[k]).square().sum() for k in a).sqrt() == pytest.approx(1e-3, rel=1e-3)


@pytest.mark.parametrize("option", ["scheduler=plateau", "scheduler=warmup_cosine", "optimizer=muon", "optimizer=soap"])
def test_schedules_and_optimisers_go_on_exactly(run, mine, option):
    if option == "optimizer=soap":
        pytest.importorskip("pytorch_optimizer")
    options = [*mine, option, "trainer.max_epochs=4", "callbacks=ema"]
    if option == "scheduler=plateau":
        options += ["scheduler.patience=0", "+scheduler.threshold=0.5", "optimizer.lr=0.01"]
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    for batch in (4, 8):  # in the second epoch, and at the end of the third
        assert (
            run("train", *options, STOP, f"+callbacks.stop.batch={batch}", "hydra.run.dir=broken", "ckpt_path=auto")[0]
            == 75
        )
    assert run("train", *options, "hydra.run.dir=broken", "ckpt_path=auto")[0] == 0
    assert curve(Path("whole")) == curve(Path("broken"))
    if option != "optimizer=soap":  # whose state is no flat dictionary of tensors
        same(Path("whole"), Path("broken"))
    if option == "scheduler=plateau":
        assert torch.load("whole/checkpoints/last.ckpt", weights_only=True)["lr_schedulers"][0]["_last_lr"][0] < 0.01


def test_a_rate_is_found_drawn_and_trained_at(run, mine):
    options = [*mine, "callbacks=lr_finder", "callbacks.lr.steps=30", "trainer.max_epochs=2", "hydra.run.dir=out"]
    status, out, err = run("train", *options)
    assert status == 0, err
    rate = float(out.split("optimizer.lr=")[1].split(":")[0])
    assert 1e-6 < rate < 1
    assert (Path("out") / "figures" / "learning_rate.png").stat().st_size > 5_000
    last = torch.load("out/checkpoints/last.ckpt", weights_only=True)
    assert last["optimizer_states"][0]["param_groups"][0]["max_lr"] == pytest.approx(rate, rel=0.05)
    assert last["global_step"] == 6
    assert last["lr_schedulers"][0]["total_steps"] == 6
    assert not list(Path.cwd().rglob(".lr_find*"))


def test_bf16_trains_as_float32_does(run, mine):
    errors = []
    for precision in ("32-true", "bf16-mixed"):
        options = [*mine, f"trainer.precision={precision}", "trainer.max_epochs=6", "optimizer.lr=1e-2"]
        assert run("train", *options, f"hydra.run.dir={precision}")[0] == 0
        errors.append(np.array(list(curve(Path(precision))["trainloss"].values())))
    np.testing.assert_allclose(*errors, rtol=0.02)
    assert errors[0][-1] < 0.97 * errors[0][0]
    assert all(v.dtype == torch.float32 for v in weights("bf16-mixed").values() if v.is_floating_point())


def test_recomputed_runs_are_the_same(run, mine):
    options = [*mine, "trainer.max_epochs=1"]
    for name, flag in (("kept", "false"), ("again", "true")):
        assert run("train", *options, f"recompute={flag}", f"hydra.run.dir={name}")[0] == 0
    close(weights("kept"), weights("again"), rtol=1e-5, atol=1e-6)
    a, b = (json.loads((Path(n) / "metrics.json").read_text()) for n in ("kept", "again"))
    assert a == pytest.approx(b, rel=1e-3)


def test_callbacks_are_chosen_together(run, mine):
    together = "callbacks=[ema,early_stopping]"
    status, _, err = run("train", *mine, together, "trainer.max_epochs=1", "hydra.run.dir=out")
    assert status == 0, err
    kept = torch.load("out/checkpoints/last.ckpt", weights_only=True)
    assert "averaging_state" in kept
    assert any(key.startswith("EarlyStopping") for key in kept["callbacks"])
