"""Points on the workers of a Dask cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from pdeops.clusters import dask_client, package
from pdeops.errors import check_positive
from pdeops.sweeps.launcher import Launcher, Outcomes
from pdeops.sweeps.point import GRACE, Point
from pdeops.sweeps.remote import LOST, attempt, prepare, stop


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
        prepare(points, "dask")
        distributed = package("distributed", "dask", "launcher=dask")
        with dask_client(self.address, self.jobs, "launcher") as client:
            futures = {client.submit(attempt, point, self.threads, pure=False, retries=0): point for point in points}
            try:
                for future in distributed.as_completed(list(futures), loop=client.loop):
                    yield futures[future], future.result() if future.status == "finished" else LOST
            finally:
                left = [future for future in futures if not future.done()]
                stop(futures[future] for future in left)
                with contextlib.suppress(TimeoutError):
                    for _ in distributed.as_completed(left, loop=client.loop, timeout=2 * GRACE):
                        pass
