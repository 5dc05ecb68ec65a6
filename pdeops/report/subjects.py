"""What is reported on: a surrogate with its name and, where it is known, the run that trained it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pdeops.report.runs import Run, behind, finished, parameters
from pdeops.sources.load import load, resolve
from pdeops.surrogate import CONFIG, Surrogate


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
        """Of all epochs, where a clock ran, or as its card says."""
        if self.run is None:
            return None
        return sum(self.run.by_epoch("train/seconds").values()) or self.run.card.get("training", {}).get("seconds")


def subjects(sources: Sequence[str]) -> list[Subject]:
    """Of surrogates, by anything that `pdeops.load` takes, and of all finished runs below folders that hold several.

    Raises InputError as `pdeops.load` and `runs.finished` do."""
    found = []
    for source in sources:
        path = Path(source)
        if path.is_dir() and not any((path / name).exists() for name in (CONFIG, "surrogate")):
            found += [Subject(str(run.folder), run.surrogate(), run) for run in finished([path])]
        else:
            found.append(Subject(source, load(source), behind(resolve(source))))
    return _short(found)


def _short(found: list[Subject]) -> list[Subject]:
    """Without the folders that the paths of several have in common."""
    paths = [subject.name for subject in found if Path(subject.name).exists()]
    if len(set(paths)) < 2:
        return found
    common = os.path.commonpath(paths)
    return [
        subject._replace(name=os.path.relpath(subject.name, common)) if subject.name in paths else subject
        for subject in found
    ]


def duration(seconds: float | None) -> str:
    """In the unit that suits it."""
    if seconds is None:
        return "not measured"
    units = ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"))
    size, unit = next((pair for pair in units if seconds >= pair[0]), units[-1])
    return f"{seconds / size:.3g} {unit}"
