"""Launchers: where the points of a sweep run, and how many at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence

from pdeops.sweeps.point import Outcome, Point

Outcomes = Generator[tuple[Point, Outcome], None, None]


class Launcher(ABC):
    """Runs points, each in processes of its own."""

    @abstractmethod
    def run(self, points: Sequence[Point]) -> Outcomes:
        """Yield each point with what came of it as it ends, in any order. Closing the iterator stops those that run.

        Raises InputError, before any of them starts, if they cannot run here.
        """
