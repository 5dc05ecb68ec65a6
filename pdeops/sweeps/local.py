"""Points on this machine, side by side, each with devices and threads of its own."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import joblib

from pdeops.errors import InputError, check_positive
from pdeops.sweeps.launcher import Launcher, Outcomes
from pdeops.sweeps.point import Attempt, Point


@dataclass(frozen=True)
class Local(Launcher):
    """Processes of this machine.

    jobs: points at once; None: as many as the GPUs serve, and one where none are named. gpus: numbers or names as
    `CUDA_VISIBLE_DEVICES` takes them, dealt out among the jobs; None: each point sees what this process sees. threads:
    of torch in each process; None: the cores, shared. `OMP_NUM_THREADS`, where it is set, stays.
    """

    jobs: int | None = None
    gpus: Sequence[int | str] | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        check_positive("launcher", jobs=self.jobs, threads=self.threads)
        if self.gpus is not None and (not self.gpus or len(set(self.gpus)) < len(self.gpus)):
            raise InputError(f"launcher.gpus={list(self.gpus)}: wanted one or several different devices, or null")

    def width(self, devices: int) -> int:
        """Points at once, of so many devices each."""
        return self.jobs or max(1, len(self.gpus or ()) // devices)

    def run(self, points: Sequence[Point]) -> Outcomes:
        return self.one_by_one(iter(points), max((point.devices or 1 for point in points), default=1))

    def one_by_one(self, points: Iterator[Point], devices: int) -> Outcomes:
        """The same of points of so many devices that are made as they are asked for, whenever another can start."""
        free = deque(self.places(devices))
        running: list[tuple[Attempt, dict[str, str]]] = []
        try:
            while True:
                while free and (point := next(points, None)) is not None:
                    place = free.popleft()
                    running.append((Attempt(point, place), place))
                if not running:
                    return
                for attempt, place in [*running]:
                    if (outcome := attempt.poll()) is not None:
                        running.remove((attempt, place))
                        free.append(place)
                        yield attempt.point, outcome
                time.sleep(0.05)
        finally:
            for attempt, _ in running:
                attempt.ask()
            for attempt, _ in running:
                attempt.stop()

    def places(self, devices: int) -> list[dict[str, str]]:
        """The environment of each of the points that run at once, of so many devices each.

        Raises InputError if a point gets fewer GPUs than its trainer takes.
        """
        jobs = self.width(devices)
        threads = self.threads or max(1, joblib.cpu_count() // (jobs * devices))
        shared = {} if "OMP_NUM_THREADS" in os.environ and self.threads is None else {"OMP_NUM_THREADS": str(threads)}
        if self.gpus is None:
            return [dict(shared) for _ in range(jobs)]
        each = max(1, len(self.gpus) // jobs)
        if each < devices:
            remedy = f"launcher.jobs={len(self.gpus) // devices}" if devices <= len(self.gpus) else "more of them"
            raise InputError(
                f"trainer.devices={devices}: launcher.gpus={list(self.gpus)} for {jobs} jobs leave each point {each}. "
                f"Use {remedy}"
            )
        dealt = [[self.gpus[(i * each + k) % len(self.gpus)] for k in range(each)] for i in range(jobs)]
        return [shared | {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))} for gpus in dealt]
