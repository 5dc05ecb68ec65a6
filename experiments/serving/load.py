"""A service at twice its capacity: every answer is right or a clear 503, and memory stays.

    python experiments/serving/load.py [--seconds 60]

First as many requests as it can answer, one after the other on `--clients` connections: its capacity. Then requests at
twice that rate, whether answers come or not. Each answer is compared with the surrogate's own prediction.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections import Counter

import torch
from service import NPY, Connection, Question, questions, resident, running, surrogates

HEADERS = [("content-type", NPY)]


class Tally:
    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seconds: dict[str, list[float]] = {"right": [], "503": []}

    async def ask(self, connection: Connection, question: Question) -> None:
        begin = time.perf_counter()
        try:
            answer = await connection.ask("POST", question.path, question.body, HEADERS)
        except (OSError, asyncio.IncompleteReadError):
            self.outcomes["lost"] += 1
            return
        if answer.status == 200:
            outcome = "right" if question.right(answer) else "wrong"
        elif answer.status == 503 and b'"code": "busy"' in answer.body and answer.headers["retry-after"].isdigit():
            outcome = "503"
        else:
            outcome = f"other: {answer.status}"
        self.outcomes[outcome] += 1
        if outcome in self.seconds:
            self.seconds[outcome].append(time.perf_counter() - begin)

    def told(self, outcome: str) -> str:
        values = self.seconds[outcome]
        if len(values) < 20:
            return "few"
        q = statistics.quantiles(values, n=20)
        return (
            f"p50 {1e3 * statistics.median(values):.0f} ms, p95 {1e3 * q[-1]:.0f} ms, worst {1e3 * max(values):.0f} ms"
        )


async def capacity(port: int, asked: list[Question], clients: int, seconds: float) -> float:
    """Right answers a second, of clients that each wait for theirs."""
    tally, end = Tally(), time.perf_counter() + seconds

    async def client(i: int) -> None:
        connection = Connection(port)
        while time.perf_counter() < end:
            await tally.ask(connection, asked[i % len(asked)])
            i += clients

    await asyncio.gather(*(client(i) for i in range(clients)))
    assert set(tally.outcomes) == {"right"}, tally.outcomes
    print(f"{clients} clients in turn: {tally.outcomes['right'] / seconds:.0f} a second, {tally.told('right')}")
    return tally.outcomes["right"] / seconds


async def overload(port: int, pid: int, asked: list[Question], rate: float, seconds: float) -> None:
    """Requests at a rate, on as many connections as that takes."""
    tally, idle, tasks = Tally(), [], set()
    begin, sent, memory = time.perf_counter(), 0, []
    before = resident(pid)

    async def one(connection: Connection, question: Question) -> None:
        await tally.ask(connection, question)
        idle.append(connection)

    while (now := time.perf_counter() - begin) < seconds:
        while sent < now * rate:
            task = asyncio.ensure_future(one(idle.pop() if idle else Connection(port), asked[sent % len(asked)]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            sent += 1
        if len(memory) < now:
            memory.append(resident(pid))
        await asyncio.sleep(0.002)
    late = time.perf_counter()
    await asyncio.gather(*tasks)
    right, refused = tally.outcomes["right"], tally.outcomes["503"]
    print(f"{sent} requests in {seconds:.0f} s, {sent / seconds:.0f} a second")
    print(f"the last answer came {time.perf_counter() - late:.2f} s after the last request")
    print(f"right answers: {right}, {right / seconds:.0f} a second, {tally.told('right')}")
    print(f"503 with Retry-After: {refused}, {tally.told('503')}")
    others = {k: v for k, v in tally.outcomes.items() if k not in ("right", "503")}
    print(f"lost, wrong or other: {others or 0}; answered: {sum(tally.outcomes.values())} of {sent}")
    along = ", ".join(f"{m:.0f}" for m in memory[:: max(1, len(memory) // 6)])
    print(f"memory of the service in MB: {before:.0f} before, {along} along the way, {resident(pid):.0f} after")
    assert right + refused == sent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--factor", type=float, default=2.0, help="of the capacity")
    options = parser.parse_args()
    torch.set_num_threads(1)
    served = surrogates()
    asked = questions(served, 64)
    with running(served) as (pid, port):
        for seconds in (3.0, min(10.0, options.seconds)):  # the first warms everything up
            rate = asyncio.run(capacity(port, asked, options.clients, seconds))
        asyncio.run(overload(port, pid, asked, options.factor * rate, options.seconds))
        print(f"afterwards: {asyncio.run(capacity(port, asked, options.clients, 3.0)):.0f} a second")


if __name__ == "__main__":
    main()
