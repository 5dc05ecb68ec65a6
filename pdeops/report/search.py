"""A search as a figure: errors in the order of the trials, and over each of the varied values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pdeops.report.canvas import literal, pyplot, save


class Trial(NamedTuple):
    """values: by key; error: of its best epoch; pruned: given up early."""

    number: int
    values: Mapping[str, Any]
    error: float
    pruned: bool


def search_figure(trials: Sequence[Trial], logarithmic: Sequence[str], path: Path) -> Path:
    """Draw trials that ended with an error; keys in `logarithmic` have a logarithmic axis."""
    keys = sorted({key for trial in trials for key in trial.values})
    columns = min(4, len(keys) + 1)
    rows = -(-(len(keys) + 1) // columns)
    figure, axes = pyplot().subplots(
        rows, columns, figsize=(3.4 * columns, 2.9 * rows), squeeze=False, sharey=True, layout="constrained"
    )
    best = min(trials, key=lambda trial: trial.error)
    for ax, key in zip(axes.flat, [None, *keys], strict=False):
        shown = [trial for trial in trials if key is None or key in trial.values]
        x = [trial.number if key is None else trial.values[key] for trial in shown]
        if any(isinstance(value, str) for value in x):
            x = [str(value) for value in x]
        for pruned, style, label in ((False, "C0o", "to the end"), (True, "C7x", "given up")):
            pairs = [(v, trial.error) for v, trial in zip(x, shown, strict=True) if trial.pruned is pruned]
            if pairs:
                ax.plot(*zip(*pairs, strict=True), style, markersize=4, label=label)
        if best in shown:
            ax.plot([x[shown.index(best)]], [best.error], "C3*", markersize=11, label="best")
        ax.set(yscale="log", xlabel="trial" if key is None else literal(key))
        if key in logarithmic:
            ax.set_xscale("log")
    whole = sorted((trial for trial in trials if not trial.pruned), key=lambda trial: trial.number)
    lowest = [min(t.error for t in whole[: i + 1]) for i in range(len(whole))]
    axes[0, 0].step([trial.number for trial in whole], lowest, "C0", where="post", linewidth=0.8)
    axes[0, 0].set_ylabel("validation error")
    axes[0, 0].legend(fontsize=8)
    for ax in axes.flat[len(keys) + 1 :]:
        ax.axis("off")
    return save(figure, path)
