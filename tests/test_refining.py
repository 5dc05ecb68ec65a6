"""`task=refine ckpt=RUN` from end to end, on the smallest problem."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import pdeops
from pdeops.data.schema import write_arrays
from pdeops.grid import Grid

FINER = ["problem.frames=20", "problem.n=12", "data.window.n_in=8"]


@pytest.fixture
def trained(run, tiny):
    assert run("train", *tiny, *FINER, "trainer.max_epochs=1", "hydra.run.dir=first")[0] == 0
    return "first"


def test_predictions_become_solutions(run, trained):
    """On the data of the training run, which need not be named again; the same samples from a frozen start."""
    status, out, _ = run("train", "task=refine", f"ckpt={trained}", "task.steps=6", "hydra.run.dir=second")
    assert status == 0
    assert "2 test samples, medians" in out
    assert "2 of 2 within 1e-06" in out
    metrics = json.loads(Path("second/metrics.json").read_text())
    assert metrics["converged"] == 1
    assert metrics["before/relative_l2"] > 1e-3
    assert metrics["after/relative_l2"] < 1e-6
    assert metrics["serial/relative_l2"] < 1e-6
    assert metrics["after/residual"] < 1e-2 * metrics["before/residual"]
    with Path("second/rows.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 2
    for row in rows:
        assert float(row["before estimate"]) == pytest.approx(float(row["before relative L2"]), rel=0.5)
    with h5py.File("second/refined.h5") as f:
        exact, before, after = (f[name][:] for name in ("reference", "prediction", "refined"))
    assert exact.shape == before.shape == after.shape == (2, 1, 6, 12, 12)
    assert np.linalg.norm(after - exact) < 1e-6 * np.linalg.norm(exact)
    surrogate = pdeops.load(trained)
    with h5py.File(next(Path("data").glob("ns2d-*.h5"))) as f:
        history = f["t0_fields/vorticity"][8:, :8]
    assert np.allclose(surrogate.rollout(history, 6), before, atol=1e-5)
    assert Path("second/figures/refine.png").read_bytes()[:4] == b"\x89PNG"

    status, out, _ = run(
        "train", "task=refine", f"ckpt={trained}", "task.steps=6", "task.frozen=true", "hydra.run.dir=third"
    )
    assert status == 0
    with h5py.File("third/refined.h5") as f:
        assert np.array_equal(f["prediction"][:, :, 0], f["prediction"][:, :, -1])


@pytest.mark.parametrize("place", ["first/surrogate", "first/checkpoints/last.ckpt"])
def test_other_places_of_the_surrogate_and_other_keys_of_its_data(run, trained, place):
    options = ["task.samples=1", "task.tol=1e-2", "problem.viscosity=3e-3", "data.batch_size=1"]
    status, out, _ = run("train", "task=refine", f"ckpt={place}", *options, "hydra.run.dir=second")
    assert status == 0
    assert "generating 10 samples" in out
    first, second = (json.loads(Path(name, "config.json").read_text()) for name in ("first", "second"))
    assert second["problem"] == first["problem"] | {"viscosity": 3e-3}
    assert second["data"] == first["data"] | {"batch_size": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["task=refine"], "task=refine needs a trained surrogate: ckpt=RUN"),
        (["task=refine", "ckpt=nowhere"], "nowhere: there is no such folder or file, and no such name in the zoo"),
        (["task=refine", "ckpt=first", "task.method=magic"], "method='magic': wanted one of"),
        (["task=refine", "ckpt=first", "task.samples=0"], "task.samples=0: wanted at least 1"),
        (["task=refine", "ckpt=first", "task.tol=0"], "tol=0"),
        (["task=refine", "ckpt=first", "task.steps=0"], "steps=0: wanted a whole number, at least 1"),
        (["task=refine", "ckpt=first", "data=burgers1d", "data.n=10"], "that surrogate maps"),
    ],
)
def test_mistakes(run, trained, arguments, message):
    status, _, err = run("train", *arguments)
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_a_surrogate_without_an_evolution_is_refused(run, tmp_path):
    a = np.random.default_rng(0).standard_normal((10, 8, 8))
    write_arrays(tmp_path / "mine.h5", Grid.periodic((8, 8)), inputs={"a": a}, targets={"u": a**2})
    options = ["data=file", "data.file=mine.h5", "model.width=8", "model.modes=4", "model.depth=1", "trainer=cpu"]
    assert run("train", *options, "trainer.max_epochs=1", "hydra.run.dir=first")[0] == 0
    status, _, err = run("train", "task=refine", "ckpt=first")
    assert status == 2
    assert "follow from an evolution equation, and problem=null" in err
