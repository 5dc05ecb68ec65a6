"""Finished runs of `python train.py`, read back: what was trained, what came out, how long it took."""

from __future__ import annotations

import csv
import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf
from torch import nn

from pdeops.errors import InputError, nearest
from pdeops.saved import load
from pdeops.sources.zoo import CARD
from pdeops.surrogate import Surrogate


class Run(NamedTuple):
    """folder: of the run; config: its resolved configuration; metrics: of its test."""

    folder: Path
    config: dict[str, Any]
    metrics: dict[str, float]

    @property
    def experiment(self) -> str:
        return self.config["name"]

    @property
    def model(self) -> str:
        """Its class, with its loss if that is not the error itself."""
        name, loss = (self.config[group]["_target_"].rsplit(".", 1)[-1] for group in ("model", "loss"))
        return name if loss == "RelativeLp" else f"{name}, {loss.removeprefix('Relative')} loss"

    @property
    def overrides(self) -> list[str]:
        """The words of the command line that made it; those of older runs are lost."""
        file = self.folder / ".hydra" / "overrides.yaml"
        return [str(text) for text in OmegaConf.load(file)] if file.is_file() else []

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def seconds_per_epoch(self) -> float | None:
        """The median over its epochs of what `tasks.clock` measured; None where no clock ran."""
        seconds = self.by_epoch("train/seconds").values()
        return statistics.median(seconds) if seconds else None

    def by_epoch(self, column: str) -> dict[int, float]:
        """A column of the csv log, by epoch, counted from 0; a resumed run's log begins at a later one."""
        log = self.folder / "csv" / "metrics.csv"
        if not log.is_file():
            return {}
        with open(log, newline="") as f:
            return {int(row["epoch"]): float(row[column]) for row in csv.DictReader(f) if row.get(column)}

    @property
    def curves(self) -> dict[str, dict[int, float]]:
        """Losses and validation errors by epoch, those that there are."""
        found = {name: self.by_epoch(name) for name in ("train/loss", "val/loss", "val/relative_l2")}
        return {name: curve for name, curve in found.items() if curve}

    @property
    def environment(self) -> dict[str, Any]:
        """Where and how it was made; empty for what was not kept."""
        file, training = self.folder / "environment.json", self.card.get("training", {})
        if file.is_file() or not training:
            return _json(file) if file.is_file() else {}
        commit = {"git": {"commit": training["commit"]}} if training.get("commit") else {}
        return {"reproduce": training["command"], "packages": training["packages"], **commit}

    @property
    def card(self) -> dict[str, Any]:
        """Of a surrogate that was given away; empty where there is none."""
        file = self.folder / CARD
        return _json(file) if file.is_file() else {}

    def surrogate(self) -> Surrogate:
        return load(self.folder)


def finished(folders: Sequence[Path]) -> Iterator[Run]:
    """The trained and tested runs below some folders, at any depth, each once; a surrogate with the card of its run
    counts as one.

    Raises InputError if a folder is not there or holds none, and on files that are not JSON.
    """
    seen: set[Path] = set()
    for folder in folders:
        if not folder.is_dir():
            near = " or ".join(repr(n) for n in nearest(folder.name, _subfolders(folder.parent)))
            raise InputError(f"there is no folder {folder}" + (f". Did you mean {near}?" if near else ""))
        files = sorted(file for name in ("metrics.json", CARD) for file in folder.rglob(name))
        runs = [run for file in files if (run := read(file.parent))]
        if not runs:
            raise InputError(
                f"there is no finished run below {folder}: wanted folders that `train` left, with metrics.json"
            )
        for run in runs:
            if run.folder.resolve() not in seen:
                seen.add(run.folder.resolve())
                yield run


def _subfolders(parent: Path) -> list[str]:
    return [x.name for x in parent.iterdir() if x.is_dir()] if parent.is_dir() else []


def read(folder: Path) -> Run | None:
    """A run's folder, or a surrogate's with its card; None for what is no finished training's: a refinement
    (`task=refine`) has no test metrics."""
    if (folder / "metrics.json").is_file():
        config, metrics = (_json(folder / name) for name in ("config.json", "metrics.json"))
        return Run(folder, config, metrics) if "test/relative_l2" in metrics else None
    card = _json(folder / CARD) if (folder / CARD).is_file() else {}
    if "settings" not in card:
        return None
    known = {name: value for name, value in card["test"]["metrics"].items() if value is not None}
    return Run(folder, card["settings"], {f"test/{name}": value for name, value in known.items()})


def behind(source: str | Path) -> Run | None:
    """The run that a surrogate is of, tested or not: of a run's folder, its surrogate, or one of its checkpoints; of a
    surrogate with a card what that says of it."""
    path = Path(source)
    if not path.exists():  # a name of something else
        return None
    for folder in (path, *path.parents[:2]):
        if (folder / "config.json").is_file():
            metrics = folder / "metrics.json"
            return Run(folder, _json(folder / "config.json"), _json(metrics) if metrics.is_file() else {})
    told = _json(path / CARD) if (path / CARD).is_file() else {}
    return Run(path, told["settings"], {}) if "settings" in told else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error


def experiment_and_model(run: Run) -> tuple[str, str]:
    return run.experiment, run.model


def grouped(
    runs: Iterable[Run], key: Callable[[Run], tuple[str, str]] = experiment_and_model
) -> dict[tuple[str, str], list[Run]]:
    """Runs that differ in nothing but their seed, in its order, by experiment and model. Raises InputError on two of
    one seed."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        found.setdefault(key(run), []).append(run)
    for (experiment, model), group in found.items():
        group.sort(key=lambda run: run.seed)
        for one, other in pairwise(group):
            if one.seed == other.seed:
                raise InputError(
                    f"two runs of one seed ({one.seed}) of {model} on {experiment}: {one.folder} and {other.folder}. "
                    "Give folders that hold one of them"
                )
    return dict(sorted(found.items()))


def parameters(model: nn.Module) -> int:
    """Real numbers that a model learns."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters())


def spread(values: Sequence[float], form: str = "{:.4f}") -> str:
    """Mean and deviation; of one value that value."""
    mean = form.format(statistics.mean(values))
    return f"{mean} +- {form.format(statistics.stdev(values))}" if len(values) > 1 else mean
