"""Searches: what is asked of a study and told it, without trainings; the command line's mistakes."""

import json
import os
from pathlib import Path

import pytest

from pdeops.errors import InputError
from pdeops.overrides import shipped
from pdeops.study import open_study
from pdeops.sweeps.expansion import check
from pdeops.sweeps.local import Local
from pdeops.sweeps.point import Attempt, Outcome
from pdeops.sweeps.search import Search, Worker, of_words
from pdeops.sweeps.space import ranges

optuna = pytest.importorskip("optuna")
SPACE = {"optimizer": {"lr": {"log": [1e-4, 1e-2]}}, "scheduler": {"choice": ["step", None]}}


@pytest.fixture
def worker(tmp_path):
    """Of a search of three trials, which no process has begun."""
    search = Search(3, SPACE, {"_target_": "optuna.samplers.RandomSampler", "seed": 0})
    (tmp_path / "search.json").write_text(json.dumps({"search": search.__dict__}))
    study = open_study(tmp_path, samples=True)
    return Worker(tmp_path, ("model=fno",), search, ranges(SPACE), Local(), {"devices": 1}, study)


def states(worker):
    return [trial.state.name for trial in worker.study.get_trials()]


def test_trials_are_asked_for_one_by_one_until_there_are_enough(worker):
    points = worker.points()
    first = next(points)
    assert states(worker) == ["RUNNING"]
    values = worker.study.get_trials()[0].params
    assert first.overrides[:2] == ("model=fno", f"optimizer.lr={values['optimizer.lr']}")
    assert first.overrides[2] == ("~scheduler" if values["scheduler"] == "null" else "scheduler=step")
    assert first.overrides[3] == "test=false"  # a search does not see the test data
    assert first.overrides[4] == (
        f"+callbacks.pruning={{_target_:pdeops.tasks.pruning.Pruning,study:'{worker.folder}',trial:0}}"
    )
    assert [point.number for point in points] == [1, 2]


def test_a_study_is_told_the_best_epoch(worker):
    for point in worker.points():
        trial = optuna.Trial(worker.study, point.number)
        for epoch, error in enumerate([3.0, 1.0 + point.number, 2.0]):
            trial.report(error, epoch)
        if point.number == 1:
            trial.set_user_attr("pruned", True)
        if point.number == 2:
            assert worker.tell(point, Outcome(-9, 1.0)) == "FAILED: killed by SIGKILL"
        else:
            worker.tell(point, Outcome(0, 1.0))
    assert states(worker) == ["COMPLETE", "PRUNED", "FAIL"]
    assert worker.study.best_value == 1.0


def test_a_trial_whose_worker_is_gone_is_gone_on_with(worker):
    lost = next(worker.points())
    assert worker.tell(lost, Outcome(os.EX_TEMPFAIL, 1.0)) == "stopped before its end"
    assert [point.number for point in worker.points()] == [0, 1, 2]
    # one that another worker is at is left alone
    (worker.folder / "sleep.py").write_text("import time; time.sleep(30)")
    busy = lost.__class__(0, str(worker.folder / "sleep.py"), (), "", lost.folder)
    attempt = Attempt(busy)
    assert [point.number for point in worker.points()] == [1, 2]
    attempt.stop()


def test_a_run_without_validation_is_a_failure(worker):
    assert worker.tell(next(worker.points()), Outcome(0, 1.0)) == "FAILED: no validation error"


def test_a_search_that_only_fails_ends(worker, monkeypatch):
    monkeypatch.setattr(Local, "one_by_one", lambda self, points, devices: ((p, Outcome(2, 0.1)) for p in points))
    with pytest.raises(InputError, match="the first 3 trials failed, the last by"):
        worker.work()


def test_the_study_is_the_same_for_all_who_open_it(worker):
    point = next(worker.points())
    child = optuna.Trial(open_study(worker.folder, samples=False), point.number)
    child.report(0.5, 0)
    assert worker.study.get_trials()[0].intermediate_values == {0: 0.5}


def test_a_study_in_sqlite(tmp_path):
    search = Search(3, SPACE, {"_target_": "optuna.samplers.TPESampler"}, storage=f"sqlite:///{tmp_path}/study.db")
    (tmp_path / "search.json").write_text(json.dumps({"search": search.__dict__}))
    open_study(tmp_path, samples=True).ask()
    assert len(open_study(tmp_path, samples=False).get_trials()) == 1


@pytest.mark.parametrize("name", [path.stem for path in shipped("conf").glob("search/*.yaml")])
def test_every_search_that_is_shipped_fits_its_model(name):
    search = of_words([f"search={name}", "search.space.model.norm.choice=[none,group]"])
    firsts = [f"{key}={found.first}" for key, found in ranges(search.space).items()]
    assert "model.norm=none" in firsts
    check([["model=fno", *firsts]], firsts)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["search=fnoo"], "fnoo"),
        (["search.trials=0"], "search.trials=0: wanted at least 1"),
        (["search.trials=many"], "search.trials='many': wanted an integer, got str"),
        (["search.tirals=3"], "search.tirals"),
        (["search.space.optimizer=null"], "search.space is empty"),
        (["search.space.optimizer.lr.log=[1,0]"], "search.space.optimizer.lr={'log': [1, 0]}: wanted"),
        (["search.space.model.witdh.int=[1,3]"], "unknown key 'model.witdh'"),
        (["search=fno", "model=unet"], "Known here:"),
        (["model=fnoo"], "model=fnoo: there is no such model. Did you mean 'fno'"),
        (["launcher=dask"], "pdeops search takes launcher=local. Elsewhere, start as many workers as you like"),
        (["--resume", "nowhere"], "there is no search in nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes(run, words, message):
    status, out, err = run("search", *words)
    assert message in err
    assert "Traceback" not in out + err
    assert (status, list(Path().glob("runs/*"))) == (2, [])
