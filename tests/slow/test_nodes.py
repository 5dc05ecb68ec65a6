"""Two nodes, as two agents of torchrun on this machine, train as one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import pdeops
from tests.conftest import TINY

pytestmark = pytest.mark.slow
ROOT = Path(pdeops.__file__).parents[1]


def start(cwd, *words):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=cwd, env=environment, **pipes)


def finish(*processes):
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(said)
    return said


def words(*more):
    return [str(ROOT / "train.py"), *(o for o in TINY if o != "trainer=cpu"), "data.batch_size=4", *more]


def on_two_nodes(cwd, *command):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = ["--master-addr=127.0.0.1", f"--master-port={free.getsockname()[1]}"]
    torchrun = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", *place]
    return finish(*(start(cwd, *torchrun, f"--node-rank={rank}", *command) for rank in range(2)))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """The folder of a run of one process, and of the data."""
    folder = tmp_path_factory.mktemp("nodes")
    finish(start(folder, *words("trainer=cpu", "hydra.run.dir=one")))
    return folder


@pytest.mark.parametrize("trainer", ["ddp", "fsdp"])
def test_two_nodes_equal_one_process(one, trainer):
    settings = [f"trainer={trainer}", "trainer.accelerator=cpu", "trainer.devices=1", "trainer.num_nodes=2"]
    first, second = on_two_nodes(one, *words(*settings, f"hydra.run.dir={trainer}"))
    assert "test/relative_l2 " in first
    assert "test/relative_l2 " not in second  # one table, not one a node
    a, b = (pdeops.load(one / name / "surrogate").state_dict() for name in ("one", trainer))
    for key in a:
        torch.testing.assert_close(a[key], b[key], rtol=1e-5, atol=1e-6)
    ours, theirs = (json.loads((one / n / "metrics.json").read_text()) for n in ("one", trainer))
    assert ours == pytest.approx(theirs, rel=1e-4, nan_ok=True)
