"""Real processes: two ranks, kills, races, an installed wheel."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import pdeops

pytestmark = pytest.mark.slow
ROOT = Path(pdeops.__file__).parents[1]
TRAIN = [sys.executable, str(ROOT / "train.py")]


def start(arguments, cwd, **env):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    return subprocess.Popen(
        arguments, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finish(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def weights(folder):
    return pdeops.load(folder / "surrogate").state_dict()


def test_two_ranks_equal_one_process(tiny, tmp_path):
    options = [o for o in tiny if o != "trainer=cpu"] + ["data.batch_size=4", "trainer.max_epochs=3"]
    finish(start([*TRAIN, *options, "trainer=cpu", "hydra.run.dir=one"], tmp_path))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=two"]
    out = finish(start([*TRAIN, *options, *two], tmp_path))
    assert out.count("test/relative_l2 ") == 1  # one table, not one per rank
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-5, atol=1e-6)
    one, both = (json.loads((tmp_path / n / "metrics.json").read_text()) for n in ("one", "two"))
    assert one == pytest.approx(both, rel=1e-4, nan_ok=True)


def test_generation_killed_and_resumed(tmp_path):
    options = ["problem.n=16", "problem.horizon=4.0", "problem.frames=4", "problem.solver.dt=0.005"]
    options += ["data.n=12", "data.shard=2"]
    generate = [sys.executable, str(ROOT / "data" / "generate.py"), *options]
    whole = finish(start([*generate, "data.dir=whole"], tmp_path)).strip().splitlines()[-1]
    process = start([*generate, "data.dir=killed"], tmp_path)
    while len(list((tmp_path / "killed").glob("*.parts/0*.h5"))) < 2:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "killed").glob("*.h5"))
    assert "of them already there" in finish(start([*generate, "data.dir=killed"], tmp_path))
    a, b = (h5py.File(p) for p in (tmp_path / whole, next((tmp_path / "killed").glob("*.h5"))))
    for key in ("t0_fields/vorticity", "pdeops/residual", "pdeops/error", "pdeops/stats/vorticity/std"):
        np.testing.assert_array_equal(a[key][()], b[key][()])


def test_several_processes_ask_for_the_same_file(tiny, tmp_path):
    generate = [sys.executable, str(ROOT / "data" / "generate.py"), *[o for o in tiny if not o.startswith("t")]]
    outputs = [finish(p) for p in [start(generate, tmp_path) for _ in range(3)]]
    assert sum("generating" in out for out in outputs) == 1
    assert len(list((tmp_path / "data").glob("*.h5"))) == 1


def test_training_killed_and_resumed(tiny, tmp_path):
    options = [*tiny, "data.n=40", "trainer.max_epochs=40"]
    finish(start([*TRAIN, *options, "hydra.run.dir=whole"], tmp_path))
    process = start([*TRAIN, *options, "hydra.run.dir=killed"], tmp_path)
    last = tmp_path / "killed" / "checkpoints" / "last.ckpt"
    while not last.exists():
        time.sleep(0.02)
        assert process.poll() is None
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    out = finish(start([*TRAIN, *options, "hydra.run.dir=killed", f"ckpt_path={last}"], tmp_path))
    assert "epoch 40/40" in out
    assert "epoch 1/40" not in out
    a, b = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_an_installed_wheel_in_any_folder(tiny, tmp_path):
    finish(start([sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)], tmp_path))
    wheel = next(tmp_path.glob("*.whl"))
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    finish(start(install, tmp_path))
    assert (site / "pdeops" / "py.typed").exists()
    pdeops_command = [str(site / "bin" / "pdeops")]
    env = {"PYTHONPATH": str(site)}
    where = finish(start([sys.executable, "-c", "import pdeops; print(pdeops.__file__)"], work, **env))
    assert where.startswith(str(site))
    out = finish(start([*pdeops_command, "train", *tiny, "hydra.run.dir=out"], work, **env))
    assert "test/relative_l2" in out
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.run.dir=two"]
    finish(start([*pdeops_command, "train", *[o for o in tiny if o != "trainer=cpu"], *two], work, **env))
    assert pdeops.load(work / "two") is not None
