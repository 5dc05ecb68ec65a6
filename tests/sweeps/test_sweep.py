"""Sweeps from the command line on: what is printed, kept, and run again."""

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pdeops import app


@pytest.fixture
def sweep(run, script, monkeypatch):
    """`sweep("seed=0,1")`: (status, output, errors) of `pdeops train -m ...`, with points that do next to nothing."""
    monkeypatch.setitem(app.SCRIPTS, "train", str(script))

    def call(*words):
        return run("train", *words)

    return call


def test_failed_points_do_not_end_the_others_and_run_again_alone(sweep, script):
    status, out, err = sweep("-m", "seed=0,1,2,3,4,5", "hydra.sweep.dir=s", "launcher.jobs=2")
    assert (status, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == f"6 points in {Path('s').resolve()}"
    assert sorted(line.split("]")[0] for line in lines if line.startswith("[")) == [f"[{i}/6" for i in range(1, 7)]
    assert sum("left" in line for line in lines) == 5
    assert "1: seed=1  FAILED: exit status 1" in out
    assert "2: seed=2  FAILED: killed by SIGKILL" in out
    assert "2 of 6 points failed:" in out
    told = out[out.index("2 of 6 points failed:") :]
    assert "      ArithmeticError: the loss is not a number" in told
    assert str(Path("s/2/log.txt").resolve()) in told
    assert shlex.split(lines[-1])[-2:] == ["--resume", str(Path("s").resolve())]

    before = {i: Path(f"s/{i}/outcome.json").stat().st_mtime_ns for i in (0, 3, 4, 5)}
    script.with_name("mended").touch()
    status, out, _ = sweep("--resume", "s", "launcher.jobs=1")
    assert status == 0
    assert "6 points" in out
    assert "2 to do" in out
    assert "[2/2]" in out
    assert "points failed" not in out
    assert before == {i: Path(f"s/{i}/outcome.json").stat().st_mtime_ns for i in (0, 3, 4, 5)}
    assert Path("s/1/log.txt").read_text().count("$ ") == 2  # one log of both attempts
    status, out, _ = sweep("sweep.resume=s")
    assert status == 0
    assert "0 to do" in out


def test_all_combinations_in_folders_of_their_own(sweep, script):
    assert sweep("-m", "model=fno,unet", "seed=range(3,5)", "data.n=100", "hydra.sweep.dir=s")[0] == 0
    assert sorted(p.name for p in Path("s").glob("[0-9]")) == ["0", "1", "2", "3"]
    assert json.loads(Path("s/sweep.json").read_text())["points"] == [
        ["model=fno", "seed=3", "data.n=100", "hydra.sweep.dir=s"],
        ["model=fno", "seed=4", "data.n=100", "hydra.sweep.dir=s"],
        ["model=unet", "seed=3", "data.n=100", "hydra.sweep.dir=s"],
        ["model=unet", "seed=4", "data.n=100", "hydra.sweep.dir=s"],
    ]
    words = shlex.split(Path("s/3/log.txt").read_text().splitlines()[0])
    assert words == [
        "$",
        sys.executable,
        str(script),
        "model=unet",
        "seed=4",
        "data.n=100",
        "hydra.sweep.dir=s",
        f"hydra.run.dir='{Path('s/3').resolve()}'",
    ]


def test_a_launcher_alone_is_a_sweep_of_one_point(sweep):
    status, out, _ = sweep("launcher=local", "hydra.sweep.dir=s")
    assert status == 0
    assert "[1/1] 0: the one point  done" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--resume", "sweep"], "there is no sweep in sweep (no sweep.json). Did you mean 'sweeps'?"),
        (["--resume"], "wanted the folder of a sweep or a search"),
        (["--resume", "sweeps", "seed=7"], "seed=7: --resume sweeps has its points"),
        (["-m", "seed=0,3", "hydra.sweep.dir=sweeps"], "has a sweep already: go on with it by --resume"),
        (["-m", "seed=0,3", "launcher=lokal"], "launcher=lokal: there is no such launcher. Did you mean 'local'?"),
        (["-m", "seed=0,3", "launcher.job=3"], "Did you mean 'launcher.jobs'?"),
        (["-m", "seed=0,3", "launcher.jobs=all"], "launcher.jobs='all': wanted an integer or null, got str"),
        (["-m", "seed=0,3", "launcher.jobs=0"], "launcher.jobs=0: wanted at least 1"),
        (["-m", "seed=0,3", "launcher=null"], "there is no launcher: choose one with launcher=..."),
        (["-m", "seed=0,3", "launcher=slurm"], "launcher=slurm: there is no Slurm on this machine"),
        (["-m", "seed=0,3", "launcher=dask", "+trainer.num_nodes=2"], "a worker of launcher=dask is on one node"),
        (
            ["-m", "seed=0,3", "trainer.devices=2", "launcher.gpus=[0]"],
            "trainer.devices=2: launcher.gpus=[0] for 1 jobs",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_run_is_refused(sweep, words, message):
    Path("sweeps").mkdir()
    plain = {"script": "s.py", "words": [], "launcher": [], "points": [["seed=0"], ["seed=3"]]}
    Path("sweeps/sweep.json").write_text(json.dumps(plain))
    status, out, err = sweep(*words)
    assert message in err
    assert (status, list(Path("sweeps").glob("[0-9]"))) == (2, [])
    assert "Traceback" not in out + err


def test_ranks_do_not_sweep(sweep, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    status, _, err = sweep("-m", "seed=0,3")
    assert status == 2
    assert "-m in 4 processes (WORLD_SIZE=4): each would run the whole sweep" in err


def test_sigterm_stops_a_sweep_that_then_goes_on(sweep, script):
    def stop():
        while not Path("s/1/asleep").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    status, _, err = sweep("-m", "seed=0,9,3", "hydra.sweep.dir=s")
    thread.join()
    assert status == os.EX_TEMPFAIL
    assert "stopped by SIGTERM after 1 of 3 points; go on with:" in err
    assert json.loads(Path("s/1/outcome.json").read_text())["status"] == os.EX_TEMPFAIL
    script.write_text("")
    status, out, _ = sweep("--resume", "s")
    assert status == 0
    assert "3 points" in out
    assert "2 to do" in out


def test_points_outlive_a_command_that_is_killed_and_are_left_alone(script, tmp_path):
    """Nobody can ask the points of a killed command to stop; they end in peace, and are not started twice."""
    code = f"from pdeops import app; app.SCRIPTS['train'] = {str(script)!r}; app.main('train', WORDS)"
    words = "['-m', 'seed=9', 'hydra.sweep.dir=s']"
    process = subprocess.Popen(
        [sys.executable, "-c", code.replace("WORDS", words)], cwd=tmp_path, stdout=subprocess.PIPE
    )
    while not (tmp_path / "s/0/asleep").exists():
        time.sleep(0.05)
    process.kill()
    process.wait()
    again = code.replace("WORDS", "['--resume', 's']")
    out = subprocess.run([sys.executable, "-c", again], cwd=tmp_path, capture_output=True, text=True).stdout
    assert "0: the one point  FAILED: still running, started by another command" in out
