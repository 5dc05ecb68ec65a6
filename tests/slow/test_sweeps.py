"""Sweeps of real trainings: crashes, kills, resumption, devices, Dask's and Ray's ways."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch

import pdeops

pytestmark = pytest.mark.slow
ROOT = Path(pdeops.__file__).parents[1]


class Trouble(L.Callback):
    """After the first epoch seed 1 crashes and seed 2 is killed, as long as there is no file `mended`."""

    def on_train_epoch_end(self, trainer, pl_module):
        if trainer.current_epoch == 1 and not Path("mended").exists():
            if pl_module.seed == 1:
                raise ArithmeticError("out of luck")
            if pl_module.seed == 2:
                os.kill(os.getpid(), signal.SIGKILL)


def call(cwd, *words, status=0):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, str(ROOT / "train.py"), *words]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def weights(folder):
    return pdeops.load(folder / "surrogate").state_dict()


def equal(a, b):
    return all(torch.equal(a[k], b[k]) for k in a)


def test_six_points_of_which_one_crashes_and_one_is_killed(tiny, tmp_path):
    words = ["-m", *tiny, "trainer.max_epochs=3", "model.depth=1,2", "seed=0,1,2"]
    trouble = "+callbacks.trouble._target_=tests.slow.test_sweeps.Trouble"
    call(tmp_path, "-m", *tiny, "trainer.max_epochs=3", "seed=2", "hydra.sweep.dir=unbroken")
    out = call(tmp_path, *words, trouble, "hydra.sweep.dir=s", "launcher.jobs=2", status=1)
    assert "4 of 6 points failed" in out  # two of each depth
    assert out.count("      ArithmeticError: out of luck") == 2
    assert out.count("killed by SIGKILL") == 4  # each in its line and in the list
    (tmp_path / "mended").touch()
    out = call(tmp_path, "--resume", "s", "launcher.jobs=2")
    assert "4 to do" in out
    table = (tmp_path / "s" / "leaderboard.txt").read_text()
    assert table in out
    rows = [line.split() for line in table.splitlines()[2:]]
    assert sorted(row[:2] for row in rows) == [["model.depth=1", "3"], ["model.depth=2", "3"]]
    assert float(rows[0][2]) <= float(rows[1][2])
    errors = [json.loads((tmp_path / "s" / str(i) / "metrics.json").read_text())["test/relative_l2"] for i in range(6)]
    assert f"{sum(errors[:3]) / 3:.4f}" in [row[2] for row in rows]
    # the killed point went on from its last epoch, and is the unbroken one
    assert "epoch 1/3" not in (tmp_path / "s/5/log.txt").read_text().split("$ ")[2]
    assert equal(weights(tmp_path / "s/5"), weights(tmp_path / "unbroken/0"))


def test_points_of_two_ranks_each(tiny, tmp_path):
    words = [*(o for o in tiny if o != "trainer=cpu"), "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]
    out = call(tmp_path, "-m", *words, "seed=0,1", "data.batch_size=4", "hydra.sweep.dir=s")
    assert "seeds" in out
    assert not equal(weights(tmp_path / "s/0"), weights(tmp_path / "s/1"))


@pytest.mark.parametrize(("launcher", "package"), [("dask", "distributed"), ("ray", "ray")])
def test_points_on_a_cluster(tiny, tmp_path, launcher, package):
    pytest.importorskip(package)
    words = ["-m", *tiny, "seed=0,1", "model.width=8,0", f"launcher={launcher}", "hydra.sweep.dir=s"]
    out = call(tmp_path, *words, status=1)
    assert "2 of 4 points failed" in out
    assert "pdeops: model.width=0, model.depth=2: both must be at least 1" in out
