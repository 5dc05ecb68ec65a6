"""Finished runs of `python train.py`, whatever they trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Run(NamedTuple):
    folder: Path
    config: dict[str, Any]
    metrics: dict[str, float]

    @property
    def model(self) -> str:
        """Its class, with its loss if that is not the error itself."""
        name = self.config["model"]["_target_"].rsplit(".", 1)[-1]
        loss = self.config["loss"]["_target_"].rsplit(".", 1)[-1]
        return name if loss == "RelativeLp" else f"{name}, {loss.removeprefix('Relative')} loss"

    @property
    def key(self) -> tuple[str, str]:
        return self.config["name"], self.model


def finished(folders: Sequence[Path]) -> Iterator[Run]:
    """The finished runs below some folders, at any depth."""
    for folder in folders:
        if not folder.is_dir():
            raise SystemExit(f"there is no folder {folder}")
        for metrics in sorted(folder.rglob("metrics.json")):
            config = json.loads((metrics.parent / "config.json").read_text())
            yield Run(metrics.parent, config, json.loads(metrics.read_text()))


def grouped(folders: Sequence[Path]) -> dict[tuple[str, str], list[Run]]:
    """Runs that differ in nothing but their seed, by experiment and model. Refuses two of one seed."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in finished(folders):
        found.setdefault(run.key, []).append(run)
    for (experiment, model), runs in found.items():
        if len({run.config["seed"] for run in runs}) < len(runs):
            raise SystemExit(f"two runs of one seed of {model} on {experiment}: {[str(run.folder) for run in runs]}")
    return dict(sorted(found.items()))
