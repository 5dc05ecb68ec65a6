"""Runs that are stopped, in whatever way, and go on: the same curve and weights as unbroken ones."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

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
        moments, others = (c["optimizer_states"][0]["state"] for c in (p, q))
        assert all(torch.equal(moments[i][k], others[i][k]) for i in moments for k in moments[i])


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


def damage(path):
    """A checkpoint cut off, as by a power failure on a disk that lies."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_damaged_checkpoint_gives_way_to_the_one_before(run, mine):
    options = [*mine, *OPTIONS]
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    assert run("train", *options, STOP, "+callbacks.stop.batch=13", "hydra.run.dir=broken")[0] == 75
    kept = Path("broken") / "checkpoints"
    damage(kept / "last.ckpt")  # in the third epoch; the one before is the second's end
    with pytest.warns(UserWarning, match=r"last.ckpt is not a checkpoint .*previous.ckpt, the one before it"):
        assert run("train", *options, "hydra.run.dir=broken", "ckpt_path=auto")[0] == 0
    same(Path("whole"), Path("broken"))
    for name in ("last", "previous"):
        damage(kept / f"{name}.ckpt")
    status, _, err = run("train", *options, "hydra.run.dir=broken", "ckpt_path=auto")
    assert status == 2
    assert "To begin anew, remove what is there or take another hydra.run.dir" in err


def test_auto_begins_where_there_is_no_checkpoint(run, mine):
    status, out, _ = run("train", *mine, "trainer.max_epochs=1", "ckpt_path=auto")
    assert status == 0
    assert "epoch 1/1" in out


class FillsUp(L.Callback):
    """In some epochs the system writes no file of more than 20 kB: no checkpoint."""

    def __init__(self, epochs):
        self.epochs, self.limits = epochs, resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_train_epoch_start(self, trainer, pl_module):
        size = 20_000 if trainer.current_epoch in self.epochs else self.limits[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self.limits[1]))

    def on_fit_end(self, trainer, pl_module):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)


def test_a_full_disk_costs_checkpoints_and_not_the_run(run, mine):
    full = "+callbacks.full._target_=tests.test_resuming.FillsUp"
    options = [*mine, *OPTIONS, "optimizer.lr=0.3", "trainer.max_epochs=4"]  # the first epoch stays the best
    assert run("train", *options, "hydra.run.dir=whole")[0] == 0
    with pytest.warns(UserWarning, match=r"last.ckpt could not be written \(File too large\)"):
        assert run("train", *options, full, "+callbacks.full.epochs=[1,2]", "hydra.run.dir=full")[0] == 0
    same(Path("whole"), Path("full"), ["last"])
    assert {p.name for p in Path("full/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "previous.ckpt"}
    assert torch.load("full/checkpoints/previous.ckpt", weights_only=True)["epoch"] == 0


def test_a_best_epoch_that_was_not_kept_is_not_the_best(run, mine):
    full = "+callbacks.full._target_=tests.test_resuming.FillsUp"
    with pytest.warns(UserWarning, match=r"best.ckpt could not be written"):
        assert run("train", *mine, *OPTIONS, full, "+callbacks.full.epochs=[0,1,2]", "hydra.run.dir=full")[0] == 0
    assert list(Path("full/checkpoints").iterdir()) == []
    pdeops.load("full")


class Unreachable(CSVLogger):
    def log_metrics(self, metrics, step=None):
        raise ConnectionError("no route to host")


def test_a_logger_out_of_reach_is_left_out(run, mine):
    logger = ["+logger.far._target_=tests.test_resuming.Unreachable", "+logger.far.save_dir=far"]
    with pytest.warns(UserWarning, match="Unreachable failed, and the run goes on without it: no route to host"):
        assert run("train", *mine, "trainer.max_epochs=2", *logger, "hydra.run.dir=out")[0] == 0
    assert len(curve(Path("out"))["trainloss"]) == 2


@pytest.mark.slow
def test_wandb_out_of_reach_is_left_out(run, mine, monkeypatch):
    for name, value in {"BASE_URL": "http://127.0.0.1:9", "API_KEY": "0" * 40, "INIT_TIMEOUT": "5"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    with pytest.warns(UserWarning, match="WandbLogger failed, and the run goes on without it"):
        assert run("train", *mine, "trainer.max_epochs=2", "logger=wandb", "hydra.run.dir=out")[0] == 0
    assert len(curve(Path("out"))["trainloss"]) == 2


LONG = ["trainer.max_epochs=12", *OPTIONS[1:]]


def start(arguments, cwd, **env):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(shipped("train.py").parent), **env}
    command = [sys.executable, str(shipped("train.py")), *arguments]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process, status=0):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == status, out
    return out


@pytest.mark.slow
def test_killed_and_stopped_from_outside_again_and_again(mine, tmp_path):
    """By SIGKILL, SIGTERM and SIGUSR1, at whatever moment, with processes that read ahead."""
    options = [*mine, *LONG, "data.cache=none", "data.workers=1", "data.batch_size=2"]
    finish(start([*options, "hydra.run.dir=whole"], tmp_path))
    log = tmp_path / "broken" / "csv" / "metrics.csv"
    for rows, number, status in ((2, signal.SIGKILL, -9), (8, signal.SIGTERM, 75), (14, signal.SIGUSR1, 75)):
        process = start([*options, "hydra.run.dir=broken", "ckpt_path=auto"], tmp_path)
        while not log.exists() or log.read_text().count("\n") <= rows:
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(number)
        finish(process, status)
    finish(start([*options, "hydra.run.dir=broken", "ckpt_path=auto"], tmp_path))
    same(tmp_path / "whole", tmp_path / "broken")


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_two_ranks_stop_together_and_go_on(mine, tmp_path, trainer):
    """One of them is told; the other is not."""
    options = [*mine, *OPTIONS, f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.devices=2"]
    if trainer == "fsdp":
        options = [o for o in options if "callbacks" not in o] + ["recompute=true"]
    finish(start([*options, "hydra.run.dir=whole"], tmp_path))
    stop = [STOP, "+callbacks.stop.batch=8", "+callbacks.stop.rank=1"]
    out = finish(start([*options, *stop, "hydra.run.dir=broken"], tmp_path), 75)
    assert out.count("stopped by a signal to another process in epoch 2, after 9 steps; go on with") == 1
    finish(start([*options, "hydra.run.dir=broken", "ckpt_path=auto"], tmp_path))
    one, two = (curve(tmp_path / name) for name in ("whole", "broken"))
    for name in one:  # sums over processes come in another order
        assert one[name] == pytest.approx(two[name], rel=1e-6)
