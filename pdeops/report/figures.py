"""Truth, prediction and error side by side; training curves."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from pdeops.grid import Axis, Grid
from pdeops.report.canvas import colours, literal, mesh, pyplot, save


def compare(
    truth: Tensor, prediction: Tensor, space: Grid, path: str | Path, *, columns: Sequence[str], title: str = ""
) -> Path:
    """Draw columns of (truth, prediction, error): fields (n_columns, *space) in one or two dimensions (of three,
    the middle slice along the first axis is shown). Truth and prediction share their colours."""
    plt = pyplot()
    v, u = truth.detach().float().cpu().numpy(), prediction.detach().float().cpu().numpy()
    if space.ndim == 3:
        middle = space[0].n // 2
        v, u, space = v[:, middle], u[:, middle], space[1:]
    if space.ndim == 1:
        figure, axes = plt.subplots(
            2, len(v), figsize=(3.2 * len(v), 4.4), squeeze=False, sharex=True, layout="constrained"
        )
        x = space[0].points().numpy()
        for i, name in enumerate(columns):
            axes[0, i].plot(x, v[i], "k", label="truth")
            axes[0, i].plot(x, u[i], "C1--", label="prediction")
            axes[1, i].plot(x, u[i] - v[i], "C3")
            axes[0, i].set_title(name)
            axes[1, i].set_xlabel(space[0].name)
        axes[0, 0].legend()
        axes[1, 0].set_ylabel("error")
    else:
        figure, axes = plt.subplots(3, len(v), figsize=(2.6 * len(v) + 1, 7.6), squeeze=False, layout="constrained")
        bound = float(np.abs(u - v).max()) or 1.0
        for i, name in enumerate(columns):
            shared = colours(v[i])
            rows = (
                ("truth", v[i], shared),
                ("prediction", u[i], shared),
                ("error", u[i] - v[i], ("PuOr_r", -bound, bound)),
            )
            for ax, (label, field, how) in zip(axes[:, i], rows, strict=True):
                image = mesh(ax, space, field, how)
                ax.set(xticks=[], yticks=[], aspect="equal", ylabel=f"{label}\n{space[1].name}" if i == 0 else "")
                figure.colorbar(image, ax=ax, shrink=0.8)
            axes[0, i].set_title(name)
            axes[2, i].set_xlabel(space[0].name)
    if title:
        figure.suptitle(title)
    return save(figure, Path(path))


def trajectories(
    truth: Tensor, prediction: Tensor, t: Axis, segment: int, path: str | Path, *, names: Sequence[str]
) -> Path:
    """Draw states (n_samples, n_states, n) over t, a row for each state and a column for each sample, with a thin line
    wherever a segment of so many nodes begins."""
    plt = pyplot()
    v, u = truth.detach().float().cpu().numpy(), prediction.detach().float().cpu().numpy()
    samples, states, _ = v.shape
    size = (3.2 * samples, 1.2 + 1.6 * states)
    figure, axes = plt.subplots(
        states, samples, figsize=size, squeeze=False, sharex=True, sharey="row", layout="constrained"
    )
    x = t.points().numpy()
    for (row, column), ax in np.ndenumerate(axes):
        for begin in x[segment - 1 : -1 : segment - 1]:
            ax.axvline(begin, color="0.85", linewidth=0.8)
        ax.plot(x, v[column, row], "k", label="truth")
        ax.plot(x, u[column, row], "C1--", label="prediction")
        if row == 0:
            ax.set_title(f"sample {column}")
        if column == 0:
            ax.set_ylabel(literal(names[row]))
    for ax in axes[-1]:
        ax.set_xlabel(t.name)
    axes[0, 0].legend()
    figure.suptitle("test trajectories, segment after segment")
    return save(figure, Path(path))


def training_curve(metrics_csv: str | Path, path: str | Path) -> Path | None:
    """Training and validation curves from a CSV log; None if it holds none."""
    curves: dict[str, list[tuple[float, float]]] = {}
    with open(metrics_csv, newline="") as f:
        for row in csv.DictReader(f):
            for name in ("train/loss", "val/loss", "val/relative_l2"):
                if row.get(name):
                    curves.setdefault(name, []).append((float(row["epoch"]), float(row[name])))
    if not curves:
        return None
    figure, ax = pyplot().subplots(figsize=(5.2, 3.6), layout="constrained")
    for name, points in curves.items():
        ax.semilogy(*zip(*points, strict=True), ".-", label=name)
    ax.set_xlabel("epoch")
    ax.grid(alpha=0.3, which="both")
    ax.legend()
    return save(figure, Path(path))
