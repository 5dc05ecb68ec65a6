"""The thin command: quick to start, and its small subcommands."""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid

HEAVY = ("torch", "lightning", "wandb", "neuralop", "hydra", "h5py", "numpy")


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from pdeops.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
    assert "train" in out


def test_importing_pdeops_imports_nothing_heavy():
    code = f"import sys, pdeops; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_training_imports_neither_wandb_nor_neuralop(tiny, tmp_path):
    code = (
        "import sys; from pdeops.cli import main\n"
        f"status = main(['train', *{[*tiny, 'debug=fast']!r}])\n"
        "print(status, [m for m in ('wandb', 'neuralop') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.stdout.strip().splitlines()[-1] == "0 []", result.stderr


def test_demo_is_the_experiment(run):
    small = ["problem.n=8", "problem.horizon=1.0", "problem.frames=5", "data.n=10", "data.split=[0.6,0.2,0.2]"]
    words = [*small, "model.width=8", "model.modes=4", "trainer=cpu", "trainer.max_epochs=1", "hydra.run.dir=here"]
    status, out, _ = run("demo", *words)
    assert status == 0
    assert "load it with: pdeops.load(" in out
    assert json.loads(Path("here/config.json").read_text())["name"] == "demo"
    assert run("demo", "modle=fno")[0] == 2


def test_data_check(run, tmp_path):
    rng = np.random.default_rng(0)
    write_arrays(tmp_path / "x.h5", Grid.periodic((8, 6)), targets={"u": rng.standard_normal((10, 8, 6))})
    status, out, _ = run("data", "check", "x.h5")
    assert status == 0
    assert "x.h5: good. arrays, 10 samples (8 train, 1 validation, 1 test)" in out


def test_data_show(run, tmp_path):
    grid = Grid((Axis("time", 3, nodes="uniform"), Axis("x", 8)))
    write_arrays(tmp_path / "x.h5", grid, targets={"u": np.random.default_rng(0).random((10, 3, 8))})
    assert run("data", "show", "x.h5", "--samples", "1")[:2] == (0, "x.png\n")
    status, out, err = run("data", "show", "x.h5")
    assert (status, out) == (2, "")
    assert "x.png is already there; replace it with --force" in err
    assert run("data", "show", "x.h5", "--force", "--sample", "4", "9", "--field", "u")[0] == 0
    assert run("data", "show", "x.h5", "--animate", "-o", "figures/y.gif")[:2] == (0, "figures/y.gif\n")
    assert "there is no sample 10" in run("data", "show", "x.h5", "--force", "--sample", "10")[2]


def test_resolutions_takes_paths_and_numbers(run):
    status, out, err = run("resolutions", "runs/darcy")
    assert (status, out) == (2, "")
    assert "there is no folder runs/darcy" in err
    for arguments in ([], ["runs", "--factors", "two"]):
        with pytest.raises(SystemExit):
            run("resolutions", *arguments)


def test_a_search_without_optuna_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    status, _, err = run("search", "model=fno")
    assert status == 2
    assert "pdeops search needs the package optuna: pip install 'pdeops[search]'" in err


def test_a_leaderboard_of_finished_runs(run, tiny):
    for seed in ("0", "1"):
        assert run("train", *tiny, "trainer.max_epochs=1", f"seed={seed}", f"hydra.run.dir=runs/{seed}")[0] == 0
    assert run("train", *tiny, "trainer.max_epochs=1", "model.depth=1", "hydra.run.dir=runs/small")[0] == 0
    status, out, _ = run("leaderboard", "runs")
    assert status == 0
    rows = [line.split("  ") for line in out.splitlines()[2:]]
    assert sorted(row[0].strip() for row in rows) == ["model.depth=1", "model.depth=2"]
    two = next(row for row in rows if row[0].strip() == "model.depth=2")
    errors = [json.loads(Path(f"runs/{i}/metrics.json").read_text())["test/relative_l2"] for i in (0, 1)]
    assert f"{statistics.mean(errors):.4f} +- {statistics.stdev(errors):.4f}" in "  ".join(two)
    assert run("leaderboard", "nowhere")[0] == 2


def test_help_of_train_lists_the_choices():
    code = "import sys; from pdeops.cli import main; main(['train', '--help'])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert "model: deeponet, fano, fno, latent_transformer, lsm, mgno, neuralop_fno" in out
    assert "Any value of the configuration below" in out
