"""Points on the nodes of a Ray cluster."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdeops.clusters import package
from pdeops.errors import InputError, check_positive, first_line
from pdeops.sweeps.launcher import Launcher, Outcomes
from pdeops.sweeps.point import GRACE, Point
from pdeops.sweeps.remote import LOST, attempt, prepare, stop


@dataclass(frozen=True)
class Ray(Launcher):
    """A point is a task that takes `threads` processors and, with `gpus`, a GPU for each of its devices unless its
    trainer is the CPU's; as many run at once as the cluster has.

    address: of a cluster whose nodes have pdeops and see the sweep's folder, and where it was started, under the same
    paths (`auto`: the one of this machine); None: one of `jobs` times `threads` processors here, for this sweep.
    """

    address: str | None = None
    jobs: int = 1
    threads: int = 1
    gpus: bool = True

    def __post_init__(self) -> None:
        check_positive("launcher", jobs=self.jobs, threads=self.threads)

    def run(self, points: Sequence[Point]) -> Outcomes:
        prepare(points, "ray")
        with self._cluster() as ray:
            wishes = [self._wishes(point, ray.nodes()) for point in points]
            here, task = Path.cwd(), ray.remote(max_retries=0)(attempt)
            left = {
                task.options(**wish).remote(point, self.threads, here): point
                for wish, point in zip(wishes, points, strict=True)
            }
            try:
                while left:
                    (ended,), _ = ray.wait(list(left))
                    point = left.pop(ended)
                    try:
                        outcome = ray.get(ended)
                    except ray.exceptions.RayError:
                        outcome = LOST
                    yield point, outcome
            finally:
                if left:
                    stop(left.values())
                    ray.wait(list(left), num_returns=len(left), timeout=2 * GRACE)

    def _wishes(self, point: Point, nodes: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """What a point takes of a node. InputError if no node has as much: it would wait for one for ever."""
        wish = {"CPU": self.threads, "GPU": 0}
        if point.gpu and self.gpus:
            if point.devices is None:
                raise InputError(
                    "trainer.devices=auto: launcher=ray has to ask for a number, such as trainer.devices=4"
                )
            wish["GPU"] = point.devices
        largest: dict[str, Any] = max((node["Resources"] for node in nodes if node["Alive"]), key=_size)
        if any(largest.get(name, 0) < count for name, count in wish.items()):
            raise InputError(
                f"launcher=ray: a point takes {wish['CPU']} processors (launcher.threads) and {wish['GPU']} GPUs; the "
                f"largest node of the cluster has {largest.get('CPU', 0):g} and {largest.get('GPU', 0):g}. For points "
                "without a GPU set launcher.gpus=false or trainer=cpu"
            )
        return {"num_cpus": wish["CPU"], "num_gpus": wish["GPU"]}

    @contextmanager
    def _cluster(self) -> Iterator[Any]:
        """Ray, connected. Raises InputError if there is no cluster at the address."""
        ray = package("ray", "ray", "launcher=ray")
        own = {"num_cpus": self.jobs * self.threads, "include_dashboard": False} if self.address is None else {}
        handler = signal.getsignal(signal.SIGTERM)
        try:
            self._try_address()
            ray.init(self.address or "local", log_to_driver=False, logging_level=logging.ERROR, **own)
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"launcher.address={self.address}: there is no Ray cluster ({first_line(error)}). Start one with: "
                "ray start --head"
            ) from error
        try:
            signal.signal(signal.SIGTERM, handler)  # which Ray has made its own
            yield ray
        finally:
            ray.shutdown()

    def _try_address(self) -> None:
        """Ray itself tries for minutes."""
        host, _, port = (self.address or "").rpartition(":")
        if host and "/" not in host:
            socket.create_connection((host, int(port)), timeout=10).close()


def _size(resources: dict[str, Any]) -> tuple[float, float]:
    return resources.get("GPU", 0), resources.get("CPU", 0)
