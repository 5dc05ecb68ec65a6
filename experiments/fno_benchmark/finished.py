"""Finished runs of the benchmark, as the trainings left them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

MODELS = {"pdeops.models.fno.FNO": "fno", "pdeops.models.neuralop.NeuralOp": "neuralop_fno"}
# relative L2 errors that Li et al. (ICLR 2021) print: 1000 training samples, 500 epochs
PUBLISHED = {
    "fno_burgers": ("Burgers, 1024 nodes", 0.0160),
    "fno_darcy": ("Darcy, 85 x 85", 0.0108),
    "fno_ns2d": ("Navier-Stokes 1e-3, T 50", 0.0128),
    "fno_ns2d_1e-4": ("Navier-Stokes 1e-4, T 30", 0.1559),
    "fno_ns2d_1e-5": ("Navier-Stokes 1e-5, T 20", 0.1556),
}
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
    for folder in folders:
        if not folder.is_dir():
            raise SystemExit(f"there is no folder {folder}")
    for metrics in (file for folder in folders for file in sorted(folder.rglob("metrics.json"))):
        config = json.loads((metrics.parent / "config.json").read_text())
        if config["name"] not in PUBLISHED or config["model"]["_target_"] not in MODELS:
            continue
        with open(metrics.parent / "csv" / "metrics.csv", newline="") as f:
            by_epoch = {int(r["epoch"]): float(r["val/relative_l2"]) for r in csv.DictReader(f) if r["val/relative_l2"]}
        if min(by_epoch) > 0:
            raise SystemExit(f"{metrics.parent} is a resumed run: put the first epochs before its csv/metrics.csv")
        test = json.loads(metrics.read_text())["test/relative_l2"]
        run = Run(metrics.parent, config["seed"], test, [by_epoch[e] for e in sorted(by_epoch)])
        found[config["name"]][MODELS[config["model"]["_target_"]]].append(run)
    for models in found.values():
        for runs in models.values():
            runs.sort(key=lambda run: run.seed)
            if len({run.seed for run in runs}) < len(runs):
                raise SystemExit(f"two runs of one seed: {[str(run.folder) for run in runs]}")
    return found
