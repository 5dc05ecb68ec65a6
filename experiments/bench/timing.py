"""What the benchmarks share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def medians(repeats: int, *jobs: Callable[[], object]) -> list[float]:
    """Median seconds of each job, the jobs taking turns."""
    for job in jobs:
        job()
    times: list[list[float]] = [[] for _ in jobs]
    for _ in range(repeats):
        for job, record in zip(jobs, times, strict=True):
            start = time.perf_counter()
            job()
            record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in times]
