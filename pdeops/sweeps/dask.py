"""Points on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pdeops.clusters import dask_client, package
from pdeops.errors import InputError, check_positive
from pdeops.sweeps.launcher import Launcher, Outcomes
from pdeops.sweeps.point import GRACE, Attempt, Outcome, Point


@dataclass(frozen=True)
class Dask(Launcher):
    """A point is a task, and each worker has one at a time if it has one thread.

    address: of a scheduler whose workers have pdeops and see the sweep's folder under the same path, with the devices
    that they were started with; None: a cluster of `jobs` workers on this machine, for this sweep.
    threads: of torch in each point.
    """

    address: str | None = None
    jobs: int = 1
    threads: int = 1

    def __post_init__(self) -> None:
        check_positive("launcher", jobs=self.jobs, threads=self.threads)

    def run(self, points: Sequence[Point]) -> Outcomes:
        several = next((point for point in points if point.nodes > 1), None)
        if several:
            raise InputError(
                f"trainer.num_nodes={several.nodes}: a worker of launcher=dask is on one node. Use launcher=slurm"
            )
        distributed = package("distributed", "dask", "launcher=dask")
        for point in points:
            point.folder.mkdir(parents=True, exist_ok=True)
            _order(point).unlink(missing_ok=True)
        with dask_client(self.address, self.jobs, "launcher") as client:
            futures = {client.submit(_attempt, point, self.threads, pure=False, retries=0): point for point in points}
            try:
                for future in distributed.as_completed(list(futures), loop=client.loop):
                    lost = Outcome(None, 0.0, "its worker was lost, perhaps for want of memory")
                    yield futures[future], future.result() if future.status == "finished" else lost
            finally:
                left = [future for future in futures if not future.done()]
                for future in left:
                    _order(futures[future]).touch()  # to cancel a task does not end what it has started
                with contextlib.suppress(TimeoutError):
                    for _ in distributed.as_completed(left, loop=client.loop, timeout=2 * GRACE):
                        pass


def _attempt(point: Point, threads: int) -> Outcome:
    if _order(point).exists():
        return Outcome(os.EX_TEMPFAIL, 0.0)
    return Attempt(point, {"OMP_NUM_THREADS": str(threads)}).wait(until=_order(point).exists)


def _order(point: Point) -> Path:
    """The file that tells a point's task, on whatever machine, to stop."""
    return point.folder / ".stop"
