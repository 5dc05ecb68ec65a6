"""What is reported on: a surrogate with its name and, where it is known, the run that trained it."""

from __future__ import annotations

from typing import NamedTuple

from pdeops.report.runs import Run, parameters
from pdeops.surrogate import Surrogate


class Subject(NamedTuple):
    name: str
    surrogate: Surrogate
    run: Run | None = None

    @property
    def model(self) -> str:
        """Its class, with the loss if that is not the error itself."""
        return self.run.model if self.run else type(self.surrogate.model).__name__

    @property
    def parameters(self) -> int:
        return parameters(self.surrogate.model)

    @property
    def training_seconds(self) -> float | None:
        """Of all epochs, where a clock ran."""
        return sum(self.run.by_epoch("train/seconds").values()) or None if self.run else None


def duration(seconds: float | None) -> str:
    """In the unit that suits it."""
    if seconds is None:
        return "not measured"
    units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))
    size, unit = next((pair for pair in units if seconds >= pair[0]), units[-1])
    return f"{seconds / size:.3g} {unit}"
