"""Points as tasks of a cluster's workers, which see the folder of the sweep under the same path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from pdeops.errors import InputError
from pdeops.sweeps.point import Attempt, Outcome, Point

LOST = Outcome(None, 0.0, "its worker was lost, perhaps for want of memory")


def prepare(points: Sequence[Point], launcher: str) -> None:
    """Make their folders. Raises InputError on points of several nodes."""
    several = next((point for point in points if point.nodes > 1), None)
    if several:
        raise InputError(
            f"trainer.num_nodes={several.nodes}: a worker of launcher={launcher} is on one node. Use launcher=slurm"
        )
    for point in points:
        point.folder.mkdir(parents=True, exist_ok=True)
        _order(point).unlink(missing_ok=True)


def attempt(point: Point, threads: int, here: Path | None = None) -> Outcome:
    """The task: runs a point until it ends, or until it is told to stop. here: where, if not where the worker is."""
    if _order(point).exists():
        return Outcome(os.EX_TEMPFAIL, 0.0)
    if here is not None:
        os.chdir(here)
    return Attempt(point, {"OMP_NUM_THREADS": str(threads)}).wait(until=_order(point).exists)


def stop(points: Iterable[Point]) -> None:
    """Tell their tasks to stop: to cancel one does not end what it has started."""
    for point in points:
        _order(point).touch()


def _order(point: Point) -> Path:
    """The file that tells a point's task, on whatever machine, to stop."""
    return point.folder / ".stop"
