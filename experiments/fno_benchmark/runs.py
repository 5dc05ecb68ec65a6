"""Finished runs of the benchmark, as the trainings left them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MODELS = {"pdeops.models.fno.FNO": "fno", "pdeops.models.neuralop.NeuralOp": "neuralop_fno"}
LABELS = {"fno": "pdeops FNO", "neuralop_fno": "neuraloperator 2.0.0 FNO"}


class Run(NamedTuple):
    folder: Path
    seed: int
    test: float
    validation: list[float]  # after each epoch

    def reached(self, error: float) -> int | None:
        """The first epoch, counted from 1, whose validation error is at most `error`."""
        return next((i for i, e in enumerate(self.validation, start=1) if e <= error), None)


def collect(folders: Sequence[Path]) -> dict[str, dict[str, list[Run]]]:
    """The finished runs of each experiment and model below some folders, in the order of their seeds."""
    found: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for metrics in (file for folder in folders for file in sorted(folder.rglob("metrics.json"))):
        config = json.loads((metrics.parent / "config.json").read_text())
        with open(metrics.parent / "csv" / "metrics.csv", newline="") as f:
            by_epoch = {int(r["epoch"]): float(r["val/relative_l2"]) for r in csv.DictReader(f) if r["val/relative_l2"]}
        test = json.loads(metrics.read_text())["test/relative_l2"]
        run = Run(metrics.parent, config["seed"], test, [by_epoch[e] for e in sorted(by_epoch)])
        found[config["name"]][MODELS[config["model"]["_target_"]]].append(run)
    for models in found.values():
        for runs in models.values():
            runs.sort(key=lambda run: run.seed)
            if len({run.seed for run in runs}) < len(runs):
                raise SystemExit(f"two runs of one seed: {[str(run.folder) for run in runs]}")
    return found
