"""Finished runs of the benchmark, as the trainings left them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from pdeops.errors import InputError
from pdeops.report import runs
from pdeops.report.runs import Run, finished, grouped

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


def collect(folders: Sequence[Path]) -> dict[str, dict[str, list[Run]]]:
    """The finished runs of each experiment and model below some folders, in the order of their seeds."""
    found: dict[str, dict[str, list[Run]]] = defaultdict(dict)
    ours = (run for run in finished(folders) if run.experiment in PUBLISHED and target(run) in MODELS)
    for (experiment, model), group in grouped(ours, lambda run: (run.experiment, MODELS[target(run)])).items():
        found[experiment][model] = group
    return found


def target(run: Run) -> str:
    return run.config["model"]["_target_"]


def validation(run: Run) -> list[float]:
    """The validation error after each epoch."""
    by_epoch = run.by_epoch("val/relative_l2")
    if 0 not in by_epoch:
        raise InputError(f"{run.folder} is a resumed run: put the first epochs before its csv/metrics.csv")
    return [by_epoch[epoch] for epoch in sorted(by_epoch)]


def reached(run: Run, error: float) -> int | None:
    """The first epoch, counted from 1, whose validation error is at most `error`."""
    return next((i for i, e in enumerate(validation(run), start=1) if e <= error), None)


def spread(values: Sequence[float], form: str = "{:.4f}") -> str:
    """Mean and deviation; one run is said to be one."""
    return runs.spread(values, form) + ("" if len(values) > 1 else " (one run)")
