"""Points as jobs of a Slurm cluster, requeued when they are preempted or run out of time."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from pdeops.clusters import slurm_executor
from pdeops.errors import InputError, check_positive, first_line
from pdeops.sweeps.launcher import Launcher, Outcomes
from pdeops.sweeps.point import Attempt, Outcome, Point, deaf

ARRAY = 1000  # elements of a job array that any cluster takes; Slurm's own default limit is 1001


@dataclass(frozen=True)
class Slurm(Launcher):
    """A job array (submitit), an element for each point, with a task for each of its devices on each of its nodes.

    jobs: points at once; partition: None is the cluster's default; time: minutes of a job; requeues: how often a
    point that needs longer goes on in another job (after a preemption it always does); warning: seconds before the end
    of a job in which a point saves its state; threads: cores of a task; memory: GB of a node (None: the cluster's
    default); gpus: whether each device is a GPU, where the trainer is not the CPU's; folder: of submitit's logs, on a
    file system that every node sees; cluster: "local" runs the same as processes of this machine. What else sbatch
    takes it reads from its environment variables.
    """

    jobs: int = 16
    partition: str | None = None
    time: int = 60
    requeues: int = 10
    warning: int = 120
    threads: int = 4
    memory: int | None = None
    gpus: bool = True
    folder: str = "runs/slurm"
    cluster: Literal["slurm", "local"] = "slurm"

    def __post_init__(self) -> None:
        check_positive(
            "launcher", jobs=self.jobs, time=self.time, threads=self.threads, memory=self.memory, warning=self.warning
        )
        if self.warning >= 60 * self.time:
            raise InputError(
                f"launcher.warning={self.warning}: wanted less seconds than launcher.time={self.time} minutes"
            )

    def run(self, points: Sequence[Point]) -> Outcomes:
        alike: dict[tuple[int, int, bool], list[Point]] = defaultdict(list)
        for point in points:
            if point.devices is None:
                raise InputError(
                    "trainer.devices=auto: launcher=slurm has to ask for a number, such as trainer.devices=4"
                )
            alike[point.devices, point.nodes, point.gpu].append(point)
        executors = {sizes: self._executor(*sizes) for sizes in alike}
        jobs: dict[Any, Point] = {}
        try:
            for sizes, group in alike.items():
                for first in range(0, len(group), ARRAY):
                    tasks = [Task(point) for point in group[first : first + ARRAY]]
                    jobs |= {
                        job: task.point for job, task in zip(executors[sizes].submit_array(tasks), tasks, strict=True)
                    }
            seconds = 0.2 if self.cluster == "local" else 5.0
            for job in import_module("submitit.helpers").as_completed(list(jobs), poll_frequency=seconds):
                yield jobs[job], _outcome(job)
        except RuntimeError as error:
            raise InputError(f"launcher=slurm: sbatch refused a job array: {first_line(error)}") from error
        finally:
            for job in jobs:
                if not job.done():
                    job.cancel(check=False)

    def _executor(self, devices: int, nodes: int, gpu: bool) -> Any:
        tasks = devices if self.cluster == "slurm" else 1  # of which Lightning makes its ranks, or starts them itself
        return slurm_executor(
            self.folder,
            self.cluster,
            "launcher",
            "launcher=local",
            requeues=self.requeues,
            timeout_min=self.time,
            nodes=nodes,
            tasks_per_node=tasks,
            cpus_per_task=self.threads,
            gpus_per_node=devices if gpu and self.gpus else None,
            mem_gb=self.memory,
            slurm_partition=self.partition,
            slurm_array_parallelism=self.jobs,
            slurm_signal_delay_s=self.warning,
        )


class Task:
    """What submitit runs on a cluster: a point, on the first of its tasks with log and outcome.

    Slurm signals all processes of a job. Of submitit's signal (USR2, before a job's time is over) only this one is to
    hear: it asks the run to end its step and to save, and is requeued. Of SIGTERM, with which a preemption begins, the
    run hears first; it saves and ends, and Slurm would take the job for done.
    """

    def __init__(self, point: Point) -> None:
        self.point = point

    def __call__(self) -> Outcome:
        environment = import_module("submitit").JobEnvironment()
        name = environment.USR_SIG
        if environment.global_rank:
            return Outcome(subprocess.call(deaf(self.point.command, name)), 0.0)
        self._attempt = Attempt(self.point, ignore=name)
        try:
            outcome = self._attempt.wait()
            if outcome.status == os.EX_TEMPFAIL and not _cancelled():
                signal.raise_signal(getattr(signal, f"SIG{name}"))  # for submitit to call `checkpoint`, and requeue
            return outcome
        finally:
            self._attempt.ask()

    def checkpoint(self) -> Any:
        """Called by submitit before it requeues the job."""
        self._attempt.stop()
        return import_module("submitit.helpers").DelayedSubmission(Task(self.point))


def _cancelled() -> bool:
    """Whether a user ended the job that this is."""
    if "SLURM_JOB_ID" not in os.environ:
        return False
    asked = ["squeue", "--noheader", f"--jobs={os.environ['SLURM_JOB_ID']}", "--format=%T"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() != "RUNNING"


def _outcome(job: Any) -> Outcome:
    if job.exception() is None:
        return job.results()[0]
    return Outcome(None, 0.0, f"its job {job.job_id} ended before it (out of time or memory?), see {job.paths.stderr}")
