"""HDF5 bodies, read by another process: a damaged file can make HDF5's C library crash, and the service goes on."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress

import numpy as np

from pdeops.serve.bodies import read_npy
from pdeops.serve.hdf5_child import LENGTH
from pdeops.serve.refusals import Refusal

ENVIRONMENT = {"HDF5_PLUGIN_PATH": os.devnull, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class Hdf5Reader:
    """One such process, started when it is first needed and again when it is gone. most: bytes of an array."""

    def __init__(self, most: int) -> None:
        self._most, self._turn = most, asyncio.Lock()
        self._process: Process | None = None
        self._killed = False

    async def read(self, body: bytes) -> np.ndarray:
        """The array "input" of a file. Raises a 400 if there is none, or the file is damaged."""
        async with self._turn:
            try:
                good, answer = await self._asked(body)
            except (OSError, asyncio.IncompleteReadError):
                self.kill()
                raise Refusal(400, "bad_hdf5", "the body is a damaged HDF5 file") from None
            except BaseException:  # cancelled between question and answer: the next answer would be another's
                self.kill()
                raise
        if not good:
            raise Refusal(400, "bad_hdf5", f"the body is no HDF5 file as wanted: {answer.decode(errors='replace')}")
        return read_npy(answer)

    async def _asked(self, body: bytes) -> tuple[bool, bytes]:
        if self._process is None or self._killed or self._process.returncode is not None:
            self._killed = False
            command = [sys.executable, "-m", "pdeops.serve.hdf5_child", str(self._most)]
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL, env=os.environ | ENVIRONMENT
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(LENGTH.pack(len(body)))
        self._process.stdin.write(body)
        await self._process.stdin.drain()
        good = await self._process.stdout.readexactly(1)
        (length,) = LENGTH.unpack(await self._process.stdout.readexactly(LENGTH.size))
        return good == b"\1", await self._process.stdout.readexactly(length)

    def kill(self) -> None:
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self) -> None:
        self.kill()
        if self._process is not None:
            await self._process.wait()
