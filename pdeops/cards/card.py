"""`card.json`: a surrogate's card for programs; `page` makes the one for people of it."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import shlex
from pathlib import Path
from typing import Any

import torch

from pdeops import __version__
from pdeops.config import to_config
from pdeops.data.file import DataFile
from pdeops.data.schema import SPLITS
from pdeops.datasets import module_of
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.report.evaluation import Evaluation, evaluate
from pdeops.report.numbers import finite
from pdeops.report.runs import Run, parameters
from pdeops.surrogate import Surrogate

LEVELS = (0.5, 0.9, 0.95, 1.0)
FAR = 0.1  # the relative error beyond which a roll-out is called lost, as in `metrics.rollout.valid_time`
OF_THE_PLACE = ("seed=", "ckpt_path=", "hydra.", "data.dir=", "trainer=")


def describe(surrogate: Surrogate, name: str, licence: str = "mit") -> dict[str, Any]:
    """What a surrogate says of itself: equation, channels, grids, size."""
    window, problem = surrogate.window, surrogate.problem
    return {
        "card": 1,
        "name": name,
        "pdeops": __version__,
        "licence": licence,
        "problem": None
        if problem is None
        else {
            "name": problem.name,
            "equation": equation(problem),
            "parameters": problem.parameters,
            "config": to_config(problem),
        },
        "input": {"channels": list(window.in_names), "grid": _axes(window.grid_in)},
        "output": {"channels": list(window.out_names), "grid": _axes(window.grid_out)},
        "time_step": window.time_step if window.evolves else None,
        "model": {"class": type(surrogate.model).__name__, "parameters": parameters(surrogate.model)},
    }


def card(run: Run, name: str, licence: str = "mit") -> dict[str, Any]:
    """The card of a finished run: `describe`, and its data, training and test.

    The run's data file is made again where it is not there, and all of its test samples are evaluated. Raises
    InputError as `evaluate` does.
    """
    surrogate = run.surrogate()
    path = module_of(run).prepare()
    file = DataFile(path)
    found = evaluate(surrogate, file, steps=_beyond(surrogate, file))
    environment = json.loads((run.folder / "environment.json").read_text())
    words = [text for text in run.overrides if not text.startswith(OF_THE_PLACE)]
    return describe(surrogate, name, licence) | {
        "data": {
            "file": path.name,
            "sha256": _hash(path),
            "command": shlex.join(["pdeops", "generate", *words]),
            "seed": run.config["data"].get("seed"),
            "samples": {split: len(file.split[split]) for split in SPLITS},
            "ranges": _ranges(file),
        },
        "training": {
            "command": shlex.join(["python", "train.py", *words, f"seed={run.seed}"]),
            "seed": run.seed,
            "epochs": len(run.by_epoch("train/seconds")),
            "seconds": round(sum(run.by_epoch("train/seconds").values())),
            "loss": run.config["loss"]["_target_"].rsplit(".", 1)[-1],
            "solutions": run.config["data"].get("fresh") is None,
            "commit": (environment["git"] or {}).get("commit"),
            "packages": environment["packages"],
            "machine": {key: environment.get(key) for key in ("processor", "cores", "threads", "devices")},
        },
        "test": summary(found),
        "settings": _settings(run.config),
    }


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the folders of the machine that ran it."""
    kept = {key: value for key, value in config.items() if key not in ("callbacks", "logger", "ckpt_path", "init_from")}
    data = kept["data"] | {"dir": "data"} if "dir" in kept["data"] else dict(kept["data"])
    file = data.get("file")
    return kept | {"data": data | {"file": file and Path(file).name}}


def equation(problem: Problem) -> str:
    """The first sentence of what its class says."""
    text = re.split(r"(?<=\S)\.\s", inspect.getdoc(type(problem)) or "")[0]
    return " ".join(text.split()).removesuffix(".")


def _beyond(surrogate: Surrogate, file: DataFile) -> int | None:
    """Frames of roll-outs to judge: all that the file has, where a space-time model has to be fed its own answers."""
    window = surrogate.window
    if not window.evolves or window.fed_back:
        return None
    left = (file.spec.grid[0].n - 1) // window.stride + 1 - window.n_in
    return left if left > window.n_out else None


def summary(found: Evaluation) -> dict[str, Any]:
    """Means, quantiles over samples, and how the error grows: None for what is not a number."""
    means = found.means
    if len(found.times) <= found.window.n_out:  # a roll-out is one output: what is said of it once is enough
        means = {k: v for k, v in means.items() if not k.startswith("rollout/") or k.startswith("rollout/residual")}
    errors = [name for name in ("relative_l2", "rollout/relative_l2") if name in means]
    test: dict[str, Any] = {
        "samples": len(found.samples),
        "metrics": means,
        "quantiles": {name: dict(zip(map(str, LEVELS), found.quantiles(name, LEVELS), strict=True)) for name in errors},
        "seconds_per_sample": found.seconds,
        "curve": None,
    }
    if len(found.times):
        mean, largest = found.curve.mean(0), found.curve.amax(0)
        lost = torch.nonzero(~(mean <= FAR)).flatten().tolist()
        good = lost[0] if lost else len(mean)
        test["curve"] = {
            "times": found.times.tolist(),
            "mean": mean.tolist(),
            "largest": largest.tolist(),
            "good_until": float(found.times[good - 1]) if good else 0.0,
            "ends_first": not lost,
        }
    return finite(test)


def _ranges(file: DataFile) -> dict[str, dict[str, float]]:
    """Of each field, over the training samples: least and largest value, mean and deviation."""
    found = {}
    for field in file.spec.fields:
        values = [file.read_field(field.name, int(i)) for i in file.split["train"]]
        stats = {key: file.stats[field.name][key] for key in ("mean", "std")}
        found[field.name] = {
            "min": float(min(v.min() for v in values)),
            "max": float(max(v.max() for v in values)),
        } | stats
    return found


def _axes(grid: Grid) -> list[dict[str, Any]]:
    return [{k: v for k, v in to_config(axis).items() if k != "_target_"} for axis in grid]


def _hash(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
