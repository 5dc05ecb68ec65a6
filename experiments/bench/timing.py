"""What the benchmarks share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Timing(NamedTuple):
    """Of one job, in seconds."""

    median: float
    least: float
    cpu: float  # median of the processor time, all threads together


def timings(repeats: int, *jobs: Callable[[], object], settle: Callable[[], object] = lambda: None) -> list[Timing]:
    """Each job timed, the jobs taking turns. settle: waits until a device has done what it was given."""
    for job in jobs:
        job()
    records: list[list[tuple[float, float]]] = [[] for _ in jobs]
    for _ in range(repeats):
        for job, record in zip(jobs, records, strict=True):
            settle()
            start, start_cpu = time.perf_counter(), time.process_time()
            job()
            settle()
            record.append((time.perf_counter() - start, time.process_time() - start_cpu))
    columns = [tuple(zip(*record, strict=True)) for record in records]
    return [Timing(statistics.median(wall), min(wall), statistics.median(cpu)) for wall, cpu in columns]


def medians(repeats: int, *jobs: Callable[[], object]) -> list[float]:
    """Median seconds of each job, the jobs taking turns."""
    return [timing.median for timing in timings(repeats, *jobs)]


def ratio(theirs: Timing, mine: Timing) -> str:
    """Of medians / minima / processor time."""
    return " / ".join(f"{a / b:.2f}" for a, b in zip(theirs, mine, strict=True))
