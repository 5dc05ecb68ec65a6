"""`python train.py task=refine ckpt=RUN`: a trained surrogate's predictions, refined, judged and drawn."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from statistics import median
from typing import Any, cast

import h5py
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from tqdm import tqdm

from pdeops.environment import environment
from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.grid import Grid
from pdeops.refinement.mild import evolving
from pdeops.report.refinement import refinement_figure
from pdeops.report.runs import behind
from pdeops.sources.load import load, resolve
from pdeops.tasks.refine import Refine, Row
from pdeops.training import build, data_module, quiet, surrogate_on

COLUMNS = ("estimate", "relative L2", "relative H1", "residual H^-1")


def refine(config: dict[str, Any]) -> float:
    """Refine a saved surrogate on test data; leave rows, fields and a figure in the run's directory. The median of the
    true relative L2 errors after it."""
    quiet()
    out, source = Path(HydraConfig.get().runtime.output_dir), config["init_from"]
    if not source:
        raise InputError("task=refine needs a trained surrogate: ckpt=RUN, the folder of a run or of a surrogate")
    place = resolve(source)
    saved = load(place)
    evolving(saved.problem)
    config = _with_data_of(place, config)
    task: Refine = build("task", config["task"])
    data = data_module(config)
    data.open()
    surrogate = surrogate_on(config, data, saved).eval()
    fields = data.fields("test")
    if not len(fields.samples):
        raise InputError(f"{data.file_path} has no test samples: raise the last part of data.split")
    (out / "config.json").write_text(json.dumps(config, indent=2))
    (out / "environment.json").write_text(json.dumps(environment(), indent=2))
    print(f"{type(surrogate.model).__name__} of {source} on {data.file_path}; run in {out}", flush=True)
    count = min(task.samples, len(fields.samples))
    rows = list(tqdm(task.rows(surrogate, fields), total=count, desc="refining", unit="sample", leave=False))
    _leave(out, rows, surrogate.window.bound.space, task)
    return median(row.after.l2 for row in rows)


def _with_data_of(source: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with data and problem of the run that trained the surrogate, keys of the command line in their
    place; as it is if the command line chose others."""
    overrides = [text.lstrip("+~").split("=")[0] for text in HydraConfig.get().overrides.task]
    given = [key.split("@")[-1] for key in overrides]  # group@place=name
    former = behind(source)
    if former is None or {"data", "problem", "experiment", "model"} & set(given):
        return config
    trained = OmegaConf.create({"data": former.config["data"], "problem": former.config["problem"]})
    for key in given:
        if key.split(".")[0] in trained:
            OmegaConf.update(trained, key, OmegaConf.select(OmegaConf.create(config), key), merge=False)
    return config | cast("dict[str, Any]", OmegaConf.to_container(trained))


def _leave(out: Path, rows: Sequence[Row], space: Grid, task: Refine) -> None:
    """The table on the screen and as metrics.json, samples in rows.csv, fields in refined.h5, the figure."""
    sides = {"before": [row.before for row in rows], "after": [row.after for row in rows]}
    middle = {side: [median(state[i] for state in states) for i in range(4)] for side, states in sides.items()}
    results = {
        f"{side}/{name}": value
        for side, values in middle.items()
        for name, value in zip(("estimate", "relative_l2", "relative_h1", "residual"), values, strict=True)
    }
    results |= {
        "converged": sum(row.converged for row in rows) / len(rows),
        "iterations": median(row.iterations for row in rows),
        "seconds": median(row.seconds for row in rows),
        "serial/relative_l2": median(row.serial for row in rows),
        "serial/seconds": median(row.serial_seconds for row in rows),
    }
    known = {name: value if isfinite(value) else None for name, value in results.items()}  # of JSON
    (out / "metrics.json").write_text(json.dumps(known, indent=2))
    with (out / "rows.csv").open("w", newline="") as f:
        table = csv.writer(f)
        scalars = ("converged", "iterations", "frames", "seconds", "serial_seconds", "serial")
        table.writerow([*(f"{side} {name}" for side in sides for name in COLUMNS), *scalars])
        table.writerows([*row.before, *row.after, *(getattr(row, name) for name in scalars)] for row in rows)
    with atomically(out / "refined.h5") as temporary, h5py.File(temporary, "w") as f:
        for i, name in enumerate(("reference", "prediction", "refined")):
            f[name] = torch.stack([row.fields[i] for row in rows]).cpu().numpy()
    errors = [(state.l2, state.estimate) for states in sides.values() for state in states]
    title = f"{len(rows)} samples to an estimated error of {task.tol:g}"
    histories = [row.history for row in rows]
    figure = refinement_figure(histories, errors, rows[0].fields, space, out / "figures" / "refine.png", title=title)
    print(_table(middle, results, rows, task))
    print(f"rows, fields and figure: {out}\nlook at {figure}")


def _table(middle: dict[str, list[float]], results: dict[str, float], rows: Sequence[Row], task: Refine) -> str:
    """Medians over the samples."""
    title = f"{len(rows)} test samples, medians"
    lines = [title, "-" * 74, f"{'':8}" + "".join(f"{name:>16}" for name in COLUMNS)]
    lines += [f"{side:8}" + "".join(f"{value:16.3g}" for value in values) for side, values in middle.items()]
    serial = f"{results['serial/relative_l2']:.2g} in {results['serial/seconds']:.2g} s"
    return "\n".join(
        [
            *lines,
            f"{sum(row.converged for row in rows)} of {len(rows)} within {task.tol:g} by their estimates; "
            f"{results['iterations']:g} iterations, {results['seconds']:.2g} s a sample; the serial solver: {serial}",
        ]
    )
