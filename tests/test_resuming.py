"""Runs that are stopped, in whatever way, and go on: the same curve and weights as unbroken ones."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch

import pdeops
from pdeops.overrides import shipped

OPTIONS = [  # six batches an epoch, all kinds of randomness and state
    "trainer.max_epochs=3", "data.batch_size=4", "data.augment_transpose=true", "data.strides=[1,3]",
    "callbacks=ema", "callbacks.ema.decay=0.8", "optimizer.lr=1e-2", "trainer.gradient_clip_val=1",
]  # fmt: skip
STOP = "+callbacks.stop._target_=tests.test_resuming.SendsItself"


class SendsItself(L.Callback):
    """A signal to this process in a batch."""

    def __init__(self, batch, name="SIGTERM", rank=0):
        self.batch, self.name, self.rank = batch, name, rank

    def on_before_zero_grad(self, trainer, pl_module, optimizer):
        if trainer.fit_loop.total_batch_idx == self.batch and trainer.global_rank == self.rank:
            os.kill(os.getpid(), getattr(signal, self.name))


def curve(folder):
    rows = np.genfromtxt(folder / "csv" / "metrics.csv", delimiter=",", names=True, ndmin=1)
    names = ("trainloss", "valloss", "valrelative_l2")
    return {name: {int(r["epoch"]): r[name] for r in rows if np.isfinite(r[name])} for name in names}


def same(a, b, names=("last", "best")):
    assert curve(a) == curve(b)
    for name in names:
        p, q = (torch.load(f / "checkpoints" / f"{name}.ckpt", weights_only=True) for f in (a, b))
        for key in ("state_dict", "current_model_state"):
            assert all(torch.equal(p[key][k], q[key][k]) for k in p[key])
        assert p["lr_schedulers"] == q["lr_schedulers"]
        for s, t in zip(p["optimizer_states"][0]["state"].values(), q["optimizer_states"][0]["state"].values()):
            assert all(torch.equal(s[k], t[k]) for k in s)


@pytest.mark.parametrize("extra", [[], ["trainer.accumulate_grad_batches=2", "scheduler=null", "data.cache=none"]])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_run_stopped_in_the_middle_of_an_epoch_goes_on_exactly(run, mine, name, extra):
    options = [*mine, *OPTIONS, *extra]
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    # batch 8 is in the middle of the second epoch, and of an accumulation
    stop = [STOP, "+callbacks.stop.batch=8", f"+callbacks.stop.name={name}"]
    status, _, err = run("train", *options, *stop, "hydra.run.dir=broken")
    assert status == 75
    assert f"stopped by {name} in epoch 2, after {5 if extra else 9} steps; go on with:\n" in err
    assert "/broken ckpt_path=auto\n" in err
    assert sorted(curve(Path("broken"))["trainloss"]) == [0]
    assert run("train", *options, "hydra.run.dir=broken", "ckpt_path=auto")[0] == 0
    same(Path("whole"), Path("broken"))


@pytest.mark.parametrize("batch", [11, 17])
def test_a_signal_in_the_last_step_of_an_epoch_is_answered_after_it(run, mine, batch):
    options = [*mine, *OPTIONS]
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    stop = [STOP, f"+callbacks.stop.batch={batch}"]
    status, _, err = run("train", *options, *stop, "hydra.run.dir=broken")
    assert status == 75
    assert f"after {batch + 1} steps" in err
    assert len(curve(Path("broken"))["valloss"]) == (batch + 1) / 6
    status, out, _ = run("train", *options, "hydra.run.dir=broken", "ckpt_path=auto")
    assert status == 0
    assert "test/relative_l2" in out
    same(Path("whole"), Path("broken"))


def test_the_printed_line_goes_on(run, mine, tmp_path):
    options = [*mine, *OPTIONS, "~scheduler", STOP, "+callbacks.stop.batch=2"]
    _, _, err = run("train", *options, "hydra.run.dir=a run")
    line = err.strip().splitlines()[-1]
    assert line.startswith(sys.executable)
    environment = {**os.environ, "PYTHONPATH": str(shipped("train.py").parent)}
    done = subprocess.run(line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(curve(tmp_path / "a run")["trainloss"]) == [0, 1, 2]
