"""Points as submitit's jobs: on this machine (its local executor), and what a cluster would be told."""

import os
import signal
import threading
import time

import psutil
import pytest

from pdeops.errors import InputError
from pdeops.sweeps.slurm import Slurm, Task

submitit = pytest.importorskip("submitit")


def local(tmp_path, **settings):
    return Slurm(cluster="local", folder=str(tmp_path / "logs"), **settings)


@pytest.mark.slow
def test_all_points_run_whatever_becomes_of_some(points, tmp_path):
    found = {point.number: outcome.words for point, outcome in local(tmp_path).run(points(0, 1, 2))}
    assert found == {0: "exit status 0", 1: "exit status 1", 2: "killed by SIGKILL"}


@pytest.mark.slow
def test_a_job_that_dies_is_a_point_that_failed(points, tmp_path):
    (point,) = points(9)
    running = local(tmp_path).run([point])

    def kill():
        task = task_of(point)
        for process in (*task.children(recursive=True), task):
            process.kill()

    ((_, outcome),) = with_asleep(running, point, kill)
    assert outcome.status is None
    assert "ended before it (out of time or memory?), see" in outcome.words


@pytest.mark.slow
def test_a_preempted_point_saves_is_requeued_and_goes_on(points, script, tmp_path):
    (point,) = points(9)
    running = local(tmp_path).run([point])

    def preempt():
        script.write_text("")  # the second job ends at once
        task_of(point).send_signal(signal.SIGUSR2)

    ((_, outcome),) = with_asleep(running, point, preempt)
    assert outcome.good
    assert point.log.read_text().count("$ ") == 2
    assert "Requeued job" in "".join(file.read_text() for file in (tmp_path / "logs").glob("*log.*"))


def with_asleep(running, point, act):
    """All outcomes; `act` is called once the point sleeps."""

    def when_asleep():
        while not (point.folder / "asleep").exists():
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=when_asleep)
    thread.start()
    found = list(running)
    thread.join()
    return found


def task_of(point):
    """The process of submitit's that has started the point's."""
    here = psutil.Process(os.getpid()).children(recursive=True)
    return next(
        p
        for p in here
        if "submitit.core._submit" in p.cmdline() and str(point.folder.parents[1]) in " ".join(p.cmdline())
    )


@pytest.fixture
def cluster(monkeypatch):
    """A machine that looks like one of a cluster to submitit."""
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("submitit.SlurmExecutor.affinity", classmethod(lambda cls: 2))


def script_of(points, **settings):
    """The sbatch script that submitit writes for points of one kind."""
    executor = Slurm(**settings)._executor(*(getattr(points[0], name) for name in ("devices", "nodes", "gpu")))
    return executor._executor._make_submission_file_text("command", "uid")


def test_what_a_cluster_is_asked_for(points, cluster, tmp_path):
    asked = {"jobs": 3, "time": 90, "partition": "long", "memory": 12, "threads": 6, "folder": str(tmp_path)}
    text = script_of(points(0, devices=4, nodes=2, gpu=True), **asked)
    for line in (
        "--nodes=2",
        "--ntasks-per-node=4",
        "--gpus-per-node=4",
        "--cpus-per-task=6",
        "--time=90",
        "--signal=USR2@120",
    ):
        assert f"#SBATCH {line}\n" in text
    assert "--partition=long" in text
    assert "--mem=12GB" in text
    text = script_of(points(0, devices=1, gpu=False), folder=str(tmp_path))
    assert "gpus" not in text
    assert "--ntasks-per-node=1" in text


def test_points_of_one_size_are_one_array(points, monkeypatch, tmp_path):
    submitted = []

    class Executor:
        def __init__(self, *sizes):
            self.sizes = sizes

        def submit_array(self, tasks):
            submitted.append((self.sizes, [task.point.number for task in tasks]))
            return []

    monkeypatch.setattr(Slurm, "_executor", lambda self, *sizes: Executor(*sizes))
    made = [*points(0, 1), *points(2, devices=4, gpu=True)]
    with pytest.raises(ValueError, match="zip"):  # no jobs came back
        next(Slurm().run(made))
    assert submitted == [((1, 1, False), [0, 1])]


@pytest.mark.parametrize(
    ("settings", "sizes", "message"),
    [
        ({}, {}, "launcher=slurm: there is no Slurm on this machine"),
        ({}, {"devices": None}, "trainer.devices=auto: launcher=slurm has to ask for a number"),
        ({"time": 0}, {}, "launcher.time=0: wanted at least 1"),
        ({"time": 1, "warning": 60}, {}, "launcher.warning=60: wanted less seconds than launcher.time=1 minutes"),
    ],
)
def test_what_cannot_run_is_refused(points, settings, sizes, message):
    with pytest.raises(InputError, match=message):
        next(Slurm(**settings).run(points(0, **sizes)))


def test_the_other_ranks_of_a_job_run_the_same_command(points, monkeypatch):
    (point,) = points(0)
    monkeypatch.setattr("submitit.JobEnvironment.global_rank", 1)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "local")
    assert Task(point)().good
    assert not point.log.exists()
