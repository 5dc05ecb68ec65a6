"""A search of real trainings, killed, gone on with by two workers at once."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pdeops

pytest.importorskip("optuna")
pytestmark = pytest.mark.slow
ROOT = Path(pdeops.__file__).parents[1]


def start(cwd, *words):
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    command = [sys.executable, "-m", "pdeops", "search", *words]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_a_search_that_is_killed_is_gone_on_with_by_two_workers(tiny, tmp_path):
    space = ["search.space.optimizer.weight_decay=null", "search.space.model.width.int=[4,12]"]
    early = ["search.pruner.n_startup_trials=1", "search.pruner.n_warmup_steps=0"]
    words = [*(o for o in tiny if "width" not in o), *space, *early, "trainer.max_epochs=4", "search.trials=5"]
    first = start(tmp_path, *words, "hydra.sweep.dir=s")
    while not (tmp_path / "s/1/log.txt").exists():  # the second trial has begun
        assert first.poll() is None, first.stdout.read()
        time.sleep(0.1)
    first.kill()
    first.wait()
    workers = [start(tmp_path, "--resume", "s") for _ in range(2)]
    said = [worker.communicate(timeout=600)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    from pdeops.study import open_study

    trials = open_study(tmp_path / "s", samples=False).get_trials()
    assert len(trials) in (5, 6)  # both may have asked for the last one
    assert {trial.state.name for trial in trials} <= {"COMPLETE", "PRUNED", "RUNNING"}
    whole = [trial for trial in trials if trial.state.name == "COMPLETE"]
    best = min(whole, key=lambda trial: trial.value)
    line = next(line for line in "".join(said).splitlines() if line.startswith("pdeops train"))
    assert re.search(rf"model.width={best.params['model.width']}\b", line) or len(whole) > 1
    assert (tmp_path / "s/search.png").stat().st_size > 10_000
    assert not json.loads((tmp_path / "s/search.json").read_text())["search"]["space"]["optimizer"]["weight_decay"]
    for trial in trials:
        assert not (tmp_path / f"s/{trial.number}/metrics.json").exists()  # no test was read
