"""Engines that are killed, interrupted, or lose a worker: whole shards stay, and any engine goes on from them."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdeops

pytestmark = pytest.mark.slow
ROOT = Path(pdeops.__file__).parents[1]
OPTIONS = ["problem.n=16", "problem.horizon=4.0", "problem.frames=4", "problem.solver.dt=0.005"]
GENERATE = [sys.executable, str(ROOT / "data" / "generate.py"), *OPTIONS, "data.n=24", "data.shard=2"]
PROCESSES = ["engine=processes", "engine.jobs=2"]


def start(cwd, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*GENERATE, *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, start_new_session=True, **pipes)


def finish(process):
    out, _ = process.communicate(timeout=300)
    return process.returncode, out


def shards(folder):
    return sorted(p.name for p in folder.glob("*.parts/0*.h5"))


def until_shards(folder, process, count=2):
    while len(shards(folder)) < count:
        time.sleep(0.02)
        assert process.poll() is None, process.communicate()[0]


def workers(process):
    """The processes that solve for `process`."""
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listing.splitlines()]
    return [int(pid) for pid, ppid, args in rows if int(ppid) == process.pid and "LokyProcess" in args]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    status, out = finish(start(folder))
    assert status == 0, out
    return next((folder / "data").glob("*.h5"))


def assert_resumes(folder, whole, *arguments):
    kept = {name: next(folder.glob(f"*.parts/{name}")).stat().st_mtime_ns for name in shards(folder)}
    assert kept
    status, out = finish(start(folder.parent, *arguments, "data.virtual=true"))
    assert status == 0, out
    assert "of them already there" in out
    assert {name: next(folder.glob(f"*.parts/{name}")).stat().st_mtime_ns for name in kept} == kept
    with h5py.File(whole) as a, h5py.File(next(folder.glob("*.h5"))) as b:
        for key in ("t0_fields/vorticity", "pdeops/residual", "pdeops/error", "pdeops/stats/vorticity/std"):
            np.testing.assert_array_equal(a[key][()], b[key][()])


def test_a_killed_run_resumes_with_another_engine(tmp_path, whole):
    process = start(tmp_path, *PROCESSES)
    until_shards(tmp_path / "data", process)
    solving = workers(process)
    process.send_signal(signal.SIGKILL)
    for pid in solving:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "data").glob("*.h5"))
    assert_resumes(tmp_path / "data", whole)


def test_a_killed_worker_is_told_in_words(tmp_path, whole):
    process = start(tmp_path, *PROCESSES)
    until_shards(tmp_path / "data", process)
    os.kill(workers(process)[0], signal.SIGKILL)
    status, out = finish(process)
    assert status == 2
    assert "Traceback" not in out
    assert "pdeops: engine=processes: a process was killed" in out
    assert "Whole shards are kept: the same command goes on from them." in out
    assert_resumes(tmp_path / "data", whole, *PROCESSES)


@pytest.mark.parametrize("everyone", [False, True], ids=["this process", "its group, as Ctrl-C does"])
def test_an_interrupt_stops_the_workers(tmp_path, whole, everyone):
    process = start(tmp_path, *PROCESSES)
    until_shards(tmp_path / "data", process)
    solving = workers(process)
    (os.killpg if everyone else os.kill)(process.pid, signal.SIGINT)
    status, out = finish(process)
    # an interrupt that falls into the end of an object is told, and passed over, by Python itself
    told = re.sub(r"Exception ignored in: .*?\n\s*KeyboardInterrupt: *\n", "", out, flags=re.DOTALL)
    assert (status, "Traceback" in told) == (130, False), out
    assert out.rstrip().endswith("pdeops: interrupted")
    assert len(solving) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in solving)
    assert_resumes(tmp_path / "data", whole, *PROCESSES)


def test_training_generates_with_an_engine(tiny, tmp_path):
    train = [sys.executable, str(ROOT / "train.py"), *tiny, *PROCESSES, "data.shard=4", "data.virtual=true"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(train, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "in 2 jobs" in done.stdout
    assert "test/relative_l2" in done.stdout
    assert len(shards(tmp_path / "data")) == 3
