"""Evaluations as a table of text, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from pdeops.files import atomically
from pdeops.report.evaluation import Evaluation
from pdeops.report.subjects import Subject, duration
from pdeops.report.tables import aligned

LEVELS = {"10 %": 0.1, "median": 0.5, "90 %": 0.9}


def panel_table(tried: Sequence[tuple[Subject, Evaluation]]) -> str:
    """Of one surrogate each metric with its quantiles over the samples; of several their means side by side, and the
    quantiles of the headline."""
    subject, found = tried[0]
    grid = " x ".join(map(str, found.window.bound.shape))
    title = f"{found.split}: {len(found.samples)} samples of {found.file}, {grid}"
    if len(tried) == 1:
        rows = [
            [name, f"{mean:.4g}", *(f"{q:.4g}" for q in found.quantiles(name, [*LEVELS.values()]))]
            for name, mean in found.means.items()
        ]
        end = f"{subject.parameters:,} parameters; one output of a sample takes {duration(found.seconds)}"
        return "\n".join([title, aligned([["", "mean", *LEVELS], *rows]), end])
    names = dict.fromkeys(name for _, each in tried for name in each.means)
    rows = [[name, *(f"{each.means[name]:.4g}" if name in each.means else "" for _, each in tried)] for name in names]
    for word, level in LEVELS.items():
        rows.append([f"{word} of samples", *(f"{each.quantiles(each.headline, [level])[0]:.4g}" for _, each in tried)])
    rows.append(["parameters", *(f"{each.parameters:,}" for each, _ in tried)])
    rows.append(["one output", *(duration(each.seconds) for _, each in tried)])
    return "\n".join([title, aligned([["", *(each.name for each, _ in tried)], *rows])])


def write_json(tried: Sequence[tuple[Subject, Evaluation]], path: str | Path) -> Path:
    """Means, quantiles and each sample's numbers; null for what is not finite, of which JSON has none."""
    parts = {
        subject.name: {
            "file": str(found.file),
            "split": found.split,
            "samples": list(found.samples),
            "parameters": subject.parameters,
            "seconds": found.seconds,
            "means": found.means,
            "quantiles": {name: found.quantiles(name, [*LEVELS.values()]) for name in found.means},
            "levels": [*LEVELS.values()],
            "per_sample": {name: found.per_sample(name).tolist() for name in found.means},
            "times": found.times.tolist(),
            "error_over_time": found.curve.tolist(),
        }
        for subject, found in tried
    }
    with atomically(Path(path)) as temporary:
        temporary.write_text(json.dumps(finite(parts), indent=1))
    return Path(path)


def finite(node: Any) -> Any:
    """Plain values with None for each number that is not finite, as JSON has none."""
    if isinstance(node, dict):
        return {key: finite(value) for key, value in node.items()}
    if isinstance(node, list):
        return [finite(value) for value in node]
    return None if isinstance(node, float) and not isfinite(node) else node
