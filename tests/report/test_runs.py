"""Finished runs as trainings leave them: found, grouped by what they trained, two of one seed refused."""

import csv
import json

import pytest
import torch

from pdeops.errors import InputError
from pdeops.report.runs import finished, grouped, parameters, spread


def leave(folder, seed=0, model="FNO", loss="RelativeLp", l2=0.1, log=()):
    """A run's record; log: rows of (epoch, validation error, seconds)."""
    folder.mkdir(parents=True)
    targets = {"model": {"_target_": f"pdeops.models.x.{model}"}, "loss": {"_target_": f"pdeops.losses.x.{loss}"}}
    (folder / "config.json").write_text(json.dumps({"name": "darcy", "seed": seed, **targets}))
    (folder / "metrics.json").write_text(json.dumps({"test/relative_l2": l2}))
    (folder / "csv").mkdir()
    with open(folder / "csv" / "metrics.csv", "w", newline="") as f:
        csv.writer(f).writerows([("epoch", "val/relative_l2", "train/seconds"), *log])


def test_runs_are_found_at_any_depth_and_grouped_by_experiment_and_model(tmp_path):
    leave(tmp_path / "a" / "sweep" / "0", seed=1)
    leave(tmp_path / "a" / "sweep" / "1", seed=0, l2=0.3)
    leave(tmp_path / "b", model="MgNO", loss="RelativeH1")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.json").write_text("{}")
    found = grouped(finished([tmp_path / "b", tmp_path, tmp_path / "a"]))  # each run once
    assert list(found) == [("darcy", "FNO"), ("darcy", "MgNO, H1 loss")]
    assert [(run.seed, run.metrics["test/relative_l2"]) for run in found["darcy", "FNO"]] == [(0, 0.3), (1, 0.1)]


def test_two_runs_of_one_seed_are_refused(tmp_path):
    for name in ("0", "1"):
        leave(tmp_path / name, seed=7)
    with pytest.raises(InputError, match=r"two runs of one seed \(7\) of FNO on darcy: .*0 and .*1"):
        grouped(finished([tmp_path]))
    assert len(grouped(finished([tmp_path]), key=lambda run: ("darcy", run.folder.name))) == 2


def test_folders_that_are_not_there_or_hold_no_run(tmp_path):
    leave(tmp_path / "darcy_rough")
    with pytest.raises(InputError, match=r"there is no folder .*darcy_rogh. Did you mean 'darcy_rough'\?"):
        list(finished([tmp_path / "darcy_rogh"]))
    with pytest.raises(InputError, match=r"there is no folder .*elsewhere/runs$"):
        list(finished([tmp_path / "elsewhere" / "runs"]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"there is no finished run below .*empty"):
        list(finished([tmp_path / "empty"]))
    (tmp_path / "darcy_rough" / "metrics.json").write_text("{'a'")
    with pytest.raises(InputError, match=r"metrics.json is not valid JSON"):
        list(finished([tmp_path]))


def test_a_refinement_is_no_training(tmp_path):
    leave(tmp_path / "fit")
    leave(tmp_path / "refined")
    (tmp_path / "refined" / "metrics.json").write_text(json.dumps({"before/estimate": 0.1}))
    assert [run.folder.name for run in finished([tmp_path])] == ["fit"]


def test_columns_of_the_log_and_the_median_epoch(tmp_path):
    log = [(4, 0.5, ""), (4, "", 90.0), (5, 0.25, ""), (5, "", 2.0), (6, 0.125, ""), (6, "", 3.0)]
    leave(tmp_path / "new", log=log)
    leave(tmp_path / "old", seed=1, log=[(0, 0.5, ""), (1, 0.25, "")])
    leave(tmp_path / "bare", seed=2)
    (tmp_path / "bare" / "csv" / "metrics.csv").unlink()
    bare, new, old = finished([tmp_path])
    assert new.by_epoch("val/relative_l2") == {4: 0.5, 5: 0.25, 6: 0.125}
    assert new.seconds_per_epoch == 3.0  # neither the mean nor the first epoch
    assert old.seconds_per_epoch is None
    assert bare.seconds_per_epoch is None


def test_parameters_are_real_numbers():
    model = torch.nn.Linear(3, 2)
    model.weights = torch.nn.Parameter(torch.zeros(5, dtype=torch.complex64))
    model.register_buffer("table", torch.zeros(100))
    assert parameters(model) == 3 * 2 + 2 + 2 * 5


def test_spread():
    assert spread([0.1, 0.3]) == "0.2000 +- 0.1414"
    assert spread([0.25]) == "0.2500"
    assert spread([4.0, 6.0], "{:.0f}") == "5 +- 1"
