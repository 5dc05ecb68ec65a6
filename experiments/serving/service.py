"""A service in a process of its own, and a client that adds little to it: HTTP/1.1 by hand, on open connections."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pdeops.models.fno import FNO
from pdeops.nn.normalizer import Normalizer
from pdeops.problems.base import Problem
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.surrogate import Surrogate
from pdeops.window import Window

NPY = "application/x-npy"
IDLE = 10.0  # seconds, after which a connection is not used again: the service closes them after 20


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def surrogates() -> dict[str, Surrogate]:
    """An FNO of each of two problems, with random weights: what a service does is the same for trained ones."""
    problems: dict[str, Problem] = {"ns2d": NavierStokes2D(n=64), "burgers1d": Burgers1D(n=256)}
    return {name: _untrained(problem) for name, problem in problems.items()}


def _untrained(problem: Problem) -> Surrogate:
    torch.manual_seed(0)
    window = Window().on(problem.grid, problem.out_names, ())
    model = FNO(1, 1, window.grid_in, window.grid_out, width=24, modes=16, depth=4)
    units = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
    return Surrogate(model, window, *units, problem).eval()


@contextmanager
def running(served: Mapping[str, Surrogate], *options: str) -> Iterator[tuple[int, int]]:
    """The process and the port of a service."""
    with tempfile.TemporaryDirectory() as folder:
        for name, surrogate in served.items():
            surrogate.save(Path(folder) / name)
        command = [sys.executable, "-m", "pdeops", "serve", "--port", "0", "--threads", "1", *options]
        sources = [str(Path(folder) / name) for name in served]
        process = subprocess.Popen([*command, *sources], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            found = re.search(r":(\d+) serves", process.stdout.readline())
            assert found
            asyncio.run(_ready(int(found[1])))
            yield process.pid, int(found[1])
        finally:
            process.terminate()
            process.wait()


async def _ready(port: int) -> None:
    async with asyncio.timeout(60):
        while (await Connection(port).ask("GET", "/ready")).status != 200:
            await asyncio.sleep(0.1)


def resident(pid: int) -> float:
    """Megabytes in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


class Connection:
    """One request after the other; opened again when the service has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.used = 0.0
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        length: str | None = None,
    ) -> Answer:
        """length: what the header says, by default the truth."""
        said = [("host", "localhost"), ("content-length", length or str(len(body))), *headers]
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said)
        return await self.send(head.encode("latin-1") + b"\r\n" + body)

    async def send(self, request: bytes) -> Answer:
        """Raises ConnectionError, or IncompleteReadError, if no answer comes."""
        if time.monotonic() - self.used > IDLE:
            self.close()
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**22)
        assert self.reader is not None
        try:
            self.writer.write(request)
            await self.writer.drain()
            status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            if status.split()[1] == "100":  # the answer comes after it
                status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
            body = await self._body(headers)
        except BaseException:
            self.close()
            raise
        self.used = time.monotonic()
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(status.split()[1]), headers, body)

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        assert self.reader is not None
        if "content-length" in headers:
            return await self.reader.readexactly(int(headers["content-length"]))
        parts = []
        if headers.get("transfer-encoding") == "chunked":
            while size := int(await self.reader.readline(), 16):
                parts.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        else:
            parts.append(await self.reader.read())
        return b"".join(parts)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def npy(a: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, a)
    return file.getvalue()


class Question(NamedTuple):
    """A request for a prediction, and what the surrogate itself predicts."""

    path: str
    body: bytes
    answer: np.ndarray

    def right(self, answer: Answer) -> bool:
        """Whether it is this one's, to round-off; the answers to other questions are far off."""
        u = np.load(io.BytesIO(answer.body))
        return u.shape == self.answer.shape and np.abs(u - self.answer).max() <= 1e-6 * max(
            1, np.abs(self.answer).max()
        )


def questions(served: Mapping[str, Surrogate], each: int) -> list[Question]:
    """Of every surrogate, in an order in which they mix."""
    made = []
    for i in range(each):
        for name, surrogate in served.items():
            rng, n = np.random.default_rng(i), surrogate.window.grid_in.shape
            shape = n if i % 8 else tuple(k // 2 for k in n)  # now and then another lattice
            a = rng.standard_normal((1, 1, *shape), dtype=np.float32)
            made.append(Question(f"/v1/surrogates/{name}/predict", npy(a), surrogate.predict(a)))
    return made
