"""Requests answered together: every one gets its own answer, in good time, and none that hung up is computed."""

import asyncio
import random
import threading

import pytest
import torch

from pdeops.serve.batching import Batcher
from pdeops.serve.refusals import Refusal


async def batcher(run, most=4, wait=0.005, queue=64):
    sizes = []
    made = Batcher(run, lambda key: most, wait=wait, queue=queue, observe=sizes.append)
    made.start()
    return made, sizes


def test_answers_are_never_mixed_up():
    async def main():
        seen = []

        def run(key, a):
            seen.append((key, len(a)))
            return a * (1 if key == "one" else 10) + 0.5

        queue, sizes = await batcher(run, most=8, queue=400)

        async def ask(i):
            await asyncio.sleep(random.random() * 0.05)
            key, shape = ("one", (3,)) if i % 3 else ("two", (2, 2))
            a = torch.arange(i, i + 1 + i % 4, dtype=torch.float64).view(-1, *[1] * len(shape)).expand(-1, *shape)
            answer = await queue.ask(key, a)
            assert torch.equal(answer.u, a * (1 if key == "one" else 10) + 0.5)

        random.seed(0)
        await asyncio.gather(*(ask(i) for i in range(300)))
        await queue.stop()
        assert max(sizes) <= 8
        assert len(sizes) < 200  # they were answered together
        assert sum(n for _, n in seen) == sum(1 + i % 4 for i in range(300))

    asyncio.run(main())


def test_a_full_batch_does_not_wait_and_a_lone_request_not_for_ever():
    async def main():
        queue, sizes = await batcher(lambda key, a: a, wait=30.0)
        await asyncio.wait_for(asyncio.gather(*(queue.ask("x", torch.zeros(1, 2)) for _ in range(4))), 5)
        assert sizes == [4]
        await queue.stop()
        queue, sizes = await batcher(lambda key, a: a, wait=0.05)
        answer = await asyncio.wait_for(queue.ask("x", torch.zeros(1, 2)), 5)
        assert 0.04 < answer.waited < 2
        await queue.stop()

    asyncio.run(main())


def test_a_full_batch_is_answered_before_the_next_one_begins():
    async def main():
        go = threading.Event()

        def run(key, a):
            if a.max() > 2:
                go.wait(10)
            return a

        queue, _ = await batcher(run, most=2)
        asked = [asyncio.ensure_future(queue.ask("x", torch.full((1, 1), float(i)))) for i in range(1, 5)]
        await asyncio.wait(asked, timeout=5, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(0)
        assert [task.done() for task in asked] == [True, True, False, False]
        go.set()
        await asyncio.gather(*asked)
        await queue.stop()

    asyncio.run(main())


def test_one_of_the_others_key_does_not_join():
    async def main():
        queue, sizes = await batcher(lambda key, a: a, wait=0.02)
        await asyncio.gather(*(queue.ask(i % 2, torch.zeros(1, 2)) for i in range(4)))
        assert sizes == [2, 2]
        await queue.stop()

    asyncio.run(main())


def test_who_hung_up_is_not_computed():
    async def main():
        seen, go = [], threading.Event()

        def run(key, a):
            seen.extend(a.flatten().tolist())
            go.wait(10)
            return a

        queue, _ = await batcher(run, wait=0.0)
        asked = [asyncio.ensure_future(queue.ask("x", torch.full((1, 1), float(i)))) for i in range(3)]
        while not seen:
            await asyncio.sleep(0.001)
        late = [asyncio.ensure_future(queue.ask("x", torch.full((1, 1), float(i)))) for i in (7, 8)]
        await asyncio.sleep(0.01)
        late[0].cancel()
        await asyncio.sleep(0)
        assert len(queue) == len(asked) - len(seen) + 1
        go.set()
        assert float((await late[1]).u) == 8
        await asyncio.gather(*asked)
        assert 7.0 not in seen
        await queue.stop()

    asyncio.run(main())


def test_many_samples_go_in_parts_and_no_further_once_nobody_waits():
    async def main():
        seen, started, go = [], threading.Event(), threading.Event()

        def run(key, a):
            seen.append(len(a))
            if key == "slow":
                started.set()
                go.wait(10)
            return 2 * a

        queue, _ = await batcher(run, most=4)
        a = torch.arange(10.0).view(10, 1)
        assert torch.equal((await queue.ask("x", a)).u, 2 * a)
        assert seen == [4, 4, 2]
        slow = asyncio.ensure_future(queue.ask("slow", a))
        while not started.is_set():
            await asyncio.sleep(0.001)
        slow.cancel()
        await asyncio.sleep(0)
        go.set()
        assert torch.equal((await queue.ask("x", a[:1])).u, 2 * a[:1])
        assert seen == [4, 4, 2, 4, 1]
        await queue.stop()

    asyncio.run(main())


def test_a_full_queue_says_when_to_come_again():
    async def main():
        go = threading.Event()
        queue, _ = await batcher(lambda key, a: (go.wait(10), a)[1], most=1, wait=0.0, queue=2)
        asked = [asyncio.ensure_future(queue.ask("x", torch.zeros(1, 1)))]
        await asyncio.sleep(0.05)
        asked += [asyncio.ensure_future(queue.ask("x", torch.zeros(1, 1))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal, match="2 requests are waiting") as refused:
            await queue.ask("x", torch.zeros(1, 1))
        assert refused.value.status == 503
        assert int(refused.value.headers["retry-after"]) >= 1
        asked.append(asyncio.ensure_future(queue.ask("x", torch.zeros(1, 1), further=True)))  # was let in before
        await asyncio.sleep(0)
        go.set()
        assert len(await asyncio.gather(*asked)) == 4
        await queue.stop()

    asyncio.run(main())


def test_what_fails_fails_alone():
    async def main():
        def run(key, a):
            if key == "bad":
                raise ValueError("no")
            return a

        queue, _ = await batcher(run)
        good, bad = await asyncio.gather(
            queue.ask("good", torch.ones(1, 1)), queue.ask("bad", torch.ones(1, 1)), return_exceptions=True
        )
        assert float(good.u) == 1
        assert isinstance(bad, ValueError)
        assert float((await queue.ask("good", torch.ones(1, 1))).u) == 1
        await queue.stop()

    asyncio.run(main())
