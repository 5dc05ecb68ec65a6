"""What a service takes before it says no."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from pdeops.errors import InputError
from pdeops.serve.refusals import busy

JSON_SHARE = 8  # JSON bodies are so many times smaller than binary ones: they grow when they are read
TOGETHER = 4  # largest bodies that are held at once
REFINED = 16  # times the nodes of the trained lattice that a sample may have
STEPS = 10_000  # of a rollout


@dataclass(frozen=True)
class Limits:
    """batch: samples that a model takes at once, on its trained lattice; wait_ms: milliseconds that the first of a
    batch waits for others; queue: requests that may wait, further ones are refused; max_mb: of a request's or an
    answer's body; timeout: seconds, for reading a request, for its answer, and for each frame of a rollout.

    Raises InputError on values out of range.
    """

    batch: int = 16
    wait_ms: float = 5.0
    queue: int = 64
    max_mb: float = 64.0
    timeout: float = 30.0

    def __post_init__(self) -> None:
        for name in ("batch", "queue"):
            if getattr(self, name) < 1:
                raise InputError(f"--{name}={getattr(self, name)}: wanted at least 1")
        for name in ("max_mb", "timeout"):
            value = getattr(self, name)
            if not (value > 0 and isfinite(value)):
                raise InputError(f"--{name.replace('_', '-')}={value:g}: wanted a positive number")
        if not 0 <= self.wait_ms <= 1000:
            raise InputError(f"--wait-ms={self.wait_ms:g}: wanted 0 to 1000 milliseconds")

    @property
    def body(self) -> int:
        """Bytes of a binary body."""
        return int(self.max_mb * 2**20)

    @property
    def json(self) -> int:
        """Bytes of a JSON body."""
        return self.body // JSON_SHARE


class Held:
    """The bytes of all bodies in the house, and how many there may be."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    def take(self, n: int) -> None:
        """Raises a 503 if there is no room for n more."""
        if self.bytes + n > self.most:
            raise busy("too many large bodies are being read", 1.0)
        self.bytes += n

    def give(self, n: int) -> None:
        self.bytes -= n
