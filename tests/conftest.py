"""Running the command line in this process, in a folder of its own."""

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

TINY = [
    "data=ns2d",
    "problem.n=8",
    "problem.horizon=1.0",
    "problem.frames=5",
    "problem.solver.dt=0.1",
    "data.n=10",
    "data.split=[0.6,0.2,0.2]",
    "data.window.n_in=2",
    "model=fno",
    "model.width=8",
    "model.modes=4",
    "model.depth=2",
    "trainer=cpu",
    "trainer.max_epochs=2",
    "report=false",  # which a test of its own is for: two seconds of drawing
]


@pytest.fixture
def tiny():
    """Overrides of the smallest sensible run."""
    return TINY


@pytest.fixture
def mine(tmp_path):
    """Overrides that train on a file of steady fields with a symmetric grid."""
    from pdeops.data.schema import write_arrays
    from pdeops.grid import Axis, Grid

    a = np.random.default_rng(0).standard_normal((30, 9, 9))
    grid = Grid((Axis("x", 9, nodes="cell"), Axis("y", 9, nodes="cell")))
    write_arrays(tmp_path / "mine.h5", grid, inputs={"a": a}, targets={"u": a**2})
    return ["data=file", "data.file=mine.h5", "model.width=8", "model.modes=4", "model.depth=2", "data.batch_size=8"]


@pytest.fixture(autouse=True)
def _same_conditions():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """`run("train", "model=fno", ...)` -> (status, output, errors), as `pdeops train model=fno ...` would give."""
    from pdeops.cli import main

    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        GlobalHydra.instance().clear()
        status = main(arguments)
        out, err = capfd.readouterr()
        return status, out, err

    return call
