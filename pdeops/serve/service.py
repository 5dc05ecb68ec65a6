"""What endpoints have in common: the surrogates, the threads that ask them and their solvers, and the limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import cached_property
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.errors import did_you_mean
from pdeops.serve.asked import Door
from pdeops.serve.batching import Answer, Batcher
from pdeops.serve.bodies import JSON
from pdeops.serve.counts import Counts
from pdeops.serve.limits import TOGETHER, Held, Limits
from pdeops.serve.refusals import Refusal
from pdeops.serve.served import Out, Served
from pdeops.serve.solving import Solving


class Key(NamedTuple):
    """Requests that can be answered together."""

    name: str
    nodes: tuple[int, ...]
    out: Out
    member: int | None


class Service:
    """Surrogates by name, and the limits of asking them."""

    def __init__(self, served: Sequence[Served], limits: Limits) -> None:
        self.served, self.limits = {one.name: one for one in served}, limits
        self.counts, self.held = Counts(), Held(TOGETHER * limits.body)
        self.door, self.solving, self.ready = Door(limits, self.held), Solving(limits.timeout), False

    @cached_property
    def batcher(self) -> Batcher[Key]:
        return Batcher(
            self._run,
            self._most,
            wait=self.limits.wait_ms / 1000,
            queue=self.limits.queue,
            observe=self.counts.batches.observe,
        )

    def _run(self, key: Key, a: Tensor) -> Tensor:
        return self.served[key.name].answer(a, key.out, key.member)

    def _most(self, key: Key) -> int:
        return self.served[key.name].at_once(self.limits.batch, max(prod(key.nodes), prod(key.out or ())))

    async def start(self) -> None:
        self.batcher.start()
        for one in self.served.values():
            await self.batcher.on_thread(one.warm)
        self.ready = True

    async def stop(self) -> None:
        self.ready = False
        await self.batcher.stop()
        self.solving.stop()
        await self.door.hdf5.stop()

    def of(self, name: str) -> Served:
        """Raises a 404, with the nearest names."""
        if name not in self.served:
            told = did_you_mean(name[:80], self.served)
            raise Refusal(404, "unknown_surrogate", f"there is no surrogate {name[:80]!r}. {told}")
        return self.served[name]

    async def ask(
        self, one: Served, a: Tensor, out: Out = None, *, member: int | None = None, further: bool = False
    ) -> Answer:
        return await self.batcher.ask(Key(one.name, tuple(a.shape[2:]), out, member), a, further=further)

    async def outputs(self, one: Served, a: Tensor, steps: int) -> AsyncIterator[Answer]:
        """The next `steps` frames as `Surrogate.rollout` has them, in pieces (B, C, n, *space): each asked for when the
        one before has been taken. Members of an ensemble each follow their own."""
        window = one.surrogate.window
        members: Sequence[int | None] = range(len(one.members)) if len(one.members) > 1 else [None]
        states, further = [a for _ in members], False
        while steps > 0:
            try:
                async with asyncio.timeout(self.limits.timeout):
                    asked = zip(states, members, strict=True)
                    answers = await asyncio.gather(
                        *(self.ask(one, state, member=k, further=further or bool(k)) for state, k in asked)
                    )
            except TimeoutError:
                raise Refusal(504, "timeout", f"no answer within {self.limits.timeout:g} s") from None
            u = torch.stack([answer.u for answer in answers]).mean(0)
            seconds = sum(answer.seconds for answer in answers)
            yield Answer(window.unstack(u)[:, :, :steps], answers[0].waited, seconds)
            steps, further = steps - window.n_out, True
            states = [window.advance(state, answer.u) for state, answer in zip(states, answers, strict=True)]

    def check_answer(self, form: str, values: int, itemsize: int) -> None:
        """Raises a 413 if an answer of so many values would be larger than bodies may be."""
        most = self.limits.json if form == JSON else self.limits.body
        if values * itemsize > most:
            raise Refusal(
                413, "too_large", f"an answer of {values} values, {values * itemsize} bytes; wanted at most {most}"
            )
