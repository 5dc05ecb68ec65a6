"""Requests of equal shape that come at about the same time, answered together by one thread."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from pdeops.serve.refusals import busy

K = TypeVar("K", bound=Hashable)


class Answer(NamedTuple):
    """u (B, ...) of one request; waited: seconds before the model was asked; seconds: that its batch took."""

    u: Tensor
    waited: float
    seconds: float


@dataclass(eq=False, repr=False)
class _Job(Generic[K]):
    key: K
    a: Tensor
    since: float
    patience: float
    answer: asyncio.Future[Answer]


class Batcher(Generic[K]):
    """A queue in front of `run(key, a)`, which maps samples a (B, ...) to (B, ...), each on its own.

    Requests of one key, whose samples are of one shape, become one batch: of at most `most(key)` samples, and closed
    `wait` seconds after its first request came. A request of more samples is answered alone, so many at a time.
    queue: requests that may wait; those that are cancelled while they do never reach the model. observe: is told the
    samples of each batch. All methods belong to one event loop; `run` is called on one thread.
    """

    def __init__(
        self,
        run: Callable[[K, Tensor], Tensor],
        most: Callable[[K], int],
        *,
        wait: float,
        queue: int,
        observe: Callable[[int], None] = lambda n: None,
    ) -> None:
        self._run, self._most, self._wait, self._queue, self._observe = run, most, wait, queue, observe
        self._waiting: deque[_Job[K]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._pace = 0.0  # seconds of a request, lately
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """What waits is cancelled; a batch that is being answered ends."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for job in self._waiting:
            job.answer.cancel()
        self._thread.shutdown()

    async def ask(self, key: K, a: Tensor, *, further: bool = False) -> Answer:
        """The answer to samples a (B, ...). further: of a request that was let in before, as a rollout's next step:
        there is always room for it, and it waits for no company.

        Raises a 503 where the queue is full, and what `run` raises.
        """
        loop = asyncio.get_running_loop()
        if not further:
            self.check_room()
        job = _Job(key, a, loop.time(), 0.0 if further else self._wait, loop.create_future())
        self._waiting.append(job)
        self._arrived.set()
        try:
            return await job.answer
        finally:
            if job in self._waiting:  # it was cancelled
                self._waiting.remove(job)

    def check_room(self) -> None:
        """Raises a 503 where the queue is full."""
        if len(self._waiting) >= self._queue:
            raise busy(f"{len(self._waiting)} requests are waiting", self._pace * len(self._waiting))

    async def on_thread(self, work: Callable[[], None]) -> None:
        """Something else to do where the model is asked."""
        await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            first = self._waiting[0]
            await self._company(first)
            if jobs := self._take(first):
                await self._answer(jobs)

    async def _company(self, first: _Job[K]) -> None:
        """Wait until the first one's batch is full, or its time is over."""
        loop, most = asyncio.get_running_loop(), self._most(first.key)
        while (left := first.since + first.patience - loop.time()) > 0 and not first.answer.done():
            if sum(len(job.a) for job in self._waiting if job.key == first.key) >= most:
                return
            self._arrived.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), left)

    def _take(self, first: _Job[K]) -> list[_Job[K]]:
        """The first one's batch, out of the queue: in the order they came, one at least."""
        jobs: list[_Job[K]] = []
        samples, most = 0, self._most(first.key)
        for job in list(self._waiting):
            if job.key == first.key and (not jobs or samples + len(job.a) <= most):
                self._waiting.remove(job)
                if not job.answer.done():
                    jobs.append(job)
                    samples += len(job.a)
        return jobs

    async def _answer(self, jobs: list[_Job[K]]) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        try:
            found = await loop.run_in_executor(self._thread, self._together, jobs)
        except asyncio.CancelledError:
            for job in jobs:
                job.answer.cancel()
            raise
        except Exception as error:
            for job in jobs:
                if not job.answer.done():
                    job.answer.set_exception(error)
            return
        if found is None:
            return
        u, seconds = found
        each = seconds / len(jobs)
        self._pace = 0.8 * self._pace + 0.2 * each if self._pace else each
        for job, part in zip(jobs, u.split([len(job.a) for job in jobs]), strict=True):
            if not job.answer.done():
                job.answer.set_result(Answer(part, begin - job.since, seconds))

    def _together(self, jobs: list[_Job[K]]) -> tuple[Tensor, float] | None:
        """On the thread: the answers to all of them, and the seconds they took; None once nobody waits any more."""
        begin, parts = time.perf_counter(), []
        key, a = jobs[0].key, jobs[0].a if len(jobs) == 1 else torch.cat([job.a for job in jobs])
        for some in a.split(self._most(key)):
            if all(job.answer.done() for job in jobs):
                return None
            self._observe(len(some))
            parts.append(self._run(key, some))
        return torch.cat(parts), time.perf_counter() - begin
