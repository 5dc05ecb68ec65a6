"""The solver's own thread: one truth at a time, given up when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pdeops.problems.base import Progress
from pdeops.serve.refusals import busy

WAITING = 4  # truths that may wait for the one being solved

T = TypeVar("T")


class _GivenUp(Exception):
    pass


class Solving:
    """`await solving.solve(work)` is work(progress), on its thread, and the seconds it took.

    Cancelling gives it up at the solver's next report of progress; so does its time, `seconds` after it began.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds, self._waiting = seconds, 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="solver")
        self._over = threading.Event()

    async def solve(self, work: Callable[[Progress], T]) -> tuple[T, float]:
        """Raises a 503 where too many wait."""
        if self._waiting > WAITING:
            raise busy("the solver is busy", self._seconds / 2)
        nobody = threading.Event()

        def on_thread() -> tuple[T, float]:
            begin = time.perf_counter()

            def progress(fraction: float) -> None:
                if nobody.is_set() or self._over.is_set() or time.perf_counter() - begin > self._seconds:
                    raise _GivenUp

            progress(0.0)
            return work(progress), time.perf_counter() - begin

        future = self._thread.submit(on_thread)
        self._waiting += 1
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        try:
            return await asyncio.wrap_future(future)
        except _GivenUp:
            raise TimeoutError from None
        finally:
            nobody.set()

    def _done(self) -> None:
        self._waiting -= 1

    def stop(self) -> None:
        self._over.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
