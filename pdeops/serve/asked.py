"""Reading requests, and waiting for what they ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from starlette.requests import ClientDisconnect, Request

from pdeops.serve.bodies import FORMS, HDF5, JSON, check_options, form_of, form_wanted, read_json, read_npy
from pdeops.serve.hdf5 import Hdf5Reader
from pdeops.serve.limits import Held, Limits
from pdeops.serve.refusals import Gone, Refusal
from pdeops.serve.served import whole

SMALL = 2**16  # bytes of JSON that are read at once, and not on another thread

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """array: what came, or None; form: the body's; options: by name, from the address or a JSON object."""

    array: np.ndarray | None
    form: str
    accept: str | None
    options: dict[str, Any]

    def wanted(self, *further: str) -> str:
        """The form of the answer; further: others that are offered."""
        return form_wanted(self.accept, self.form, (*FORMS, *further))

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        return whole(name, self.options.get(name, default), least, most)


class Door:
    """Where requests come in."""

    def __init__(self, limits: Limits, held: Held) -> None:
        self.limits, self.held, self.hdf5 = limits, held, Hdf5Reader(limits.body)

    @asynccontextmanager
    async def asked(self, request: Request, *options: str) -> AsyncIterator[Asked]:
        """What a request says, while its body is held. options: those that it may have.

        Raises Refusals: 400, 408, 413, 415, 422, 503.
        """
        form = form_of(request.headers.get("content-type"), request.headers.get("content-encoding"))
        most = self.limits.json if form == JSON else self.limits.body
        held = bytearray()
        try:
            try:
                async with asyncio.timeout(self.limits.timeout):
                    await self._read(request, held, most)
                    array, said = await self._decoded(form, bytes(held))
            except TimeoutError:
                raise Refusal(408, "slow", f"the body was not read within {self.limits.timeout:g} s") from None
            except ClientDisconnect:
                raise Gone from None
            said = {**request.query_params, **said}
            check_options(said, options)
            yield Asked(array, form, request.headers.get("accept"), said)
        finally:
            self.held.give(len(held))

    async def _read(self, request: Request, held: bytearray, most: int) -> None:
        told = request.headers.get("content-length", "0")
        if told.isdigit() and int(told[:20]) > most:
            raise _too_large(most)
        async for chunk in request.stream():
            if len(held) + len(chunk) > most:
                raise _too_large(most)
            self.held.take(len(chunk))
            held += chunk

    async def _decoded(self, form: str, body: bytes) -> tuple[np.ndarray | None, dict[str, Any]]:
        if form == JSON:
            return read_json(body) if len(body) <= SMALL else await asyncio.to_thread(read_json, body)
        if not body:
            return None, {}
        return (await self.hdf5.read(body) if form == HDF5 else read_npy(body)), {}


def _too_large(most: int) -> Refusal:
    return Refusal(413, "too_large", f"a body of more than {most} bytes; raise --max-mb, or send it in parts")


async def within(request: Request, seconds: float, work: Awaitable[T]) -> T:
    """What work gives; it is cancelled when its time is over (a 504), or the client hangs up (Gone)."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise Gone
        raise Refusal(504, "timeout", f"no answer within {seconds:g} s")
    except TimeoutError:
        raise Refusal(504, "timeout", f"no answer within {seconds:g} s") from None
    finally:
        for one in (task, gone):
            one.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
