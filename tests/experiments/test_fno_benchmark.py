"""The tables of experiments/fno_benchmark, from folders as trainings leave them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pdeops.grid import Grid
from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.window import Window

TABLE = Path(__file__).parents[2] / "experiments" / "fno_benchmark" / "table.py"
TARGETS = {"fno": "pdeops.models.fno.FNO", "neuralop_fno": "pdeops.models.neuralop.NeuralOp"}


def leave_run(folder, model, seed, test, validation):
    (folder / "csv").mkdir(parents=True)
    config = {"name": "fno_burgers", "model": {"_target_": TARGETS[model]}, "seed": seed}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text(json.dumps({"test/relative_l2": test}))
    with open(folder / "csv" / "metrics.csv", "w", newline="") as f:
        rows = [(epoch, "", error) for epoch, error in enumerate(validation)] + [(0, 0.5, "")]
        csv.writer(f).writerows([("epoch", "train/loss", "val/relative_l2"), *rows])
    grid = Grid.periodic((8,), 1.0)
    window, unit = Window().on(grid, ["u"], ["a"]), lambda: Normalizer(torch.zeros(1), torch.ones(1))
    Surrogate(FNO(1, 1, grid, grid, width=2, modes=2, depth=1), window, unit(), unit()).save(folder / "surrogate")


def table(*arguments):
    return subprocess.run([sys.executable, TABLE, *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def runs(tmp_path):
    leave_run(tmp_path / "sweep" / "0", "fno", 0, 0.01, [0.5, 0.2, 0.05])
    leave_run(tmp_path / "sweep" / "1", "fno", 1, 0.03, [0.6, 0.4, 0.05])
    leave_run(tmp_path / "sweep" / "2", "neuralop_fno", 0, 0.05, [0.7, 0.4, 0.3])
    return tmp_path


def test_accuracy_is_the_mean_over_seeds_beside_the_published_figure(runs):
    lines = table(runs).stdout.splitlines()
    ours, theirs = (next(x for x in lines if f"| {name} " in x) for name in ("pdeops FNO", "neuraloperator 2.0.0 FNO"))
    assert "| 0.0200 +- 0.0141 | 0, 1 | 0.0160 |" in ours
    assert "| 0.0500 (one run) | 0 | 0.0160 |" in theirs
    assert not (runs / "curves.png").exists()


def test_time_to_accuracy_counts_epochs_to_the_error_of_neuraloperators_last(runs):
    (runs / "epochs.csv").write_text("experiment,model,seconds\nfno_burgers,fno,2\nfno_burgers,neuralop_fno,3\n")
    out = table(runs, "--epochs", runs / "epochs.csv", "--figure", runs / "curves.png").stdout
    assert "| 0.3000 | pdeops FNO | 2.00 | 2, 3 | 5 +- 1 |" in out
    assert "| 0.3000 | neuraloperator 2.0.0 FNO | 3.00 | 3 | 9 (one run) |" in out
    assert (runs / "curves.png").stat().st_size > 1000


def test_two_runs_of_one_seed_are_refused(runs):
    leave_run(runs / "again", "fno", 1, 0.03, [0.1])
    assert "two runs of one seed" in table(runs).stderr
