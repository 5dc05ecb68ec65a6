"""A point of a sweep: one run, in processes of its own."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.overrides import shipped

LOCK = ".running"
GRACE = 60.0  # seconds for a run to end its step and write a checkpoint


class Outcome(NamedTuple):
    """status: of the process, a signal's number negative; None: unknown, and `note` says why. seconds: of this
    attempt."""

    status: int | None
    seconds: float
    note: str = ""

    @property
    def good(self) -> bool:
        return self.status == 0

    @property
    def words(self) -> str:
        if self.status is None:
            return self.note
        if self.status < 0:
            return f"killed by {signal.Signals(-self.status).name}"
        return "stopped before its end" if self.status == os.EX_TEMPFAIL else f"exit status {self.status}"


@dataclass(frozen=True)
class Point:
    """script: of a run; overrides: all of them; label: those that tell it from the other points; folder: of the run.

    devices, nodes, gpu: what its trainer takes; devices of each node, None: all there are.
    """

    number: int
    script: str
    overrides: tuple[str, ...]
    label: str
    folder: Path
    devices: int | None = 1
    nodes: int = 1
    gpu: bool = False

    @property
    def command(self) -> list[str]:
        """What has been done before in its folder is gone on with."""
        given = [text for text in self.overrides if text.startswith("ckpt_path=")]
        resume = [] if given or self.script != "train.py" else ["ckpt_path=auto"]
        where = f"hydra.run.dir={quoted(self.folder)}"
        return [sys.executable, str(shipped(self.script)), *self.overrides, *resume, where]

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def outcome(self) -> Outcome | None:
        """Of its last attempt that ended; None before there was one."""
        try:
            return Outcome(**json.loads((self.folder / "outcome.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def running(self) -> bool:
        """Whether an attempt is at it, of whatever command."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def cause(self, lines: int = 4) -> list[str]:
        """The last lines of its log, from its message on if there is one."""
        if not self.log.is_file():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 20_000))
            text = file.read().decode(errors="replace")
        found = [line.rstrip() for line in text.splitlines() if line.strip()]
        said = [i for i, line in enumerate(found) if line.startswith(("pdeops: ", "$ "))]
        if said and found[said[-1]].startswith("pdeops: "):
            return found[said[-1] :][:8]
        return found[-lines:]


class Attempt:
    """A point's process, and what came of it. While it runs, the folder is locked for other attempts, also when the
    process that started it is gone."""

    def __init__(self, point: Point, environment: Mapping[str, str] | None = None, *, ignore: str = "") -> None:
        """environment: added to this process's; ignore: a signal that the run shall not hear, such as USR2."""
        self.point = point
        self._start = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        point.folder.mkdir(parents=True, exist_ok=True)
        lock, log = (point.folder / LOCK).open("w"), point.log.open("ab")
        with lock, log, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (point.folder / "outcome.json").unlink(missing_ok=True)
            log.write(f"$ {shlex.join(point.command)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                deaf(point.command, ignore) if ignore else point.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                pass_fds=(lock.fileno(),),  # held as long as the process lives
            )

    def poll(self) -> Outcome | None:
        """What came of it; None while it runs."""
        if self._process is None:
            return Outcome(None, 0.0, "still running, started by another command")
        status = self._process.poll()
        if status is None:
            return None
        outcome = Outcome(status, round(time.monotonic() - self._start, 3))
        with atomically(self.point.folder / "outcome.json") as temporary:
            temporary.write_text(json.dumps(outcome._asdict()))
        return outcome

    def wait(self, until: Callable[[], bool] = lambda: False) -> Outcome:
        """What came of it; it is stopped once `until` holds."""
        while (outcome := self.poll()) is None:
            if until():
                return self.stop()
            time.sleep(0.1)
        return outcome

    def ask(self) -> None:
        """Ask it to save what it has and to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> Outcome:
        """Ask it to end, and see to it that it does."""
        self.ask()
        if self._process is not None:
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        outcome = self.poll()
        assert outcome is not None
        return outcome


def deaf(command: Sequence[str], signal: str) -> list[str]:
    """A command that ignores a signal, such as USR2, from its first moment on: a shell hands that down."""
    return ["/bin/sh", "-c", f"trap '' {signal}; exec \"$@\"", "sh", *command]


def quoted(path: Path) -> str:
    """A path as Hydra's grammar reads it."""
    text = str(path)
    if "'" in text:
        raise InputError(f"{text}: runs cannot stand in a folder with a ' in its name")
    return f"'{text}'"
