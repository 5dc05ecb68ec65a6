"""Figures of several surrogates over or beside each other."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from pdeops.report.canvas import colours, literal
from pdeops.report.curves import VALID, mark_bands, shell_curve
from pdeops.report.embedded import INK, SERIES, TRUTH
from pdeops.report.samples import error_colours, picture
from pdeops.report.views import bar, picture_height

if TYPE_CHECKING:
    from pdeops.report.comparison import Entry

MOST_SHOWN = 6  # surrogates of which one sample is drawn


def _coloured(compared: Sequence[Entry]) -> list[tuple[Entry, str]]:
    return list(zip(compared, cycle(SERIES), strict=False))


def draw_bars(plt: Any, compared: Sequence[Entry]) -> Any:
    """Mean errors with the deviation over seeds, and each seed."""
    figure, ax = plt.subplots(figsize=(9.5, 0.8 + 0.38 * len(compared)), layout="constrained")
    for place, (entry, colour) in enumerate(_coloured(compared)):
        each = entry.each(entry.found.headline)
        deviation = statistics.stdev(each) if len(each) > 1 else None
        ax.barh(place, entry.error, xerr=deviation, color=colour, alpha=0.75, height=0.7, ecolor=INK, capsize=3)
        if len(each) > 1:
            ax.plot(each, [place] * len(each), ".", color=INK, ms=4)
    ax.set_yticks(range(len(compared)), labels=[literal(entry.label) for entry in compared])
    ax.invert_yaxis()
    ax.set_xlabel(_named(compared))
    ax.set_xlim(left=0)
    ax.grid(True, axis="x")
    return figure


def _named(compared: Sequence[Entry]) -> str:
    rolled = compared[0].found.headline.startswith("rollout/")
    return "relative L2 error" + (" of rollouts" if rolled else "")


def draw_costs(plt: Any, compared: Sequence[Entry]) -> Any:
    """Errors against parameters, seconds of a prediction and of training."""
    costs = {
        "parameters": [float(entry.subject.parameters) for entry in compared],
        "seconds of one output of a sample": [entry.found.seconds for entry in compared],
        "seconds of training": [entry.subject.training_seconds or np.nan for entry in compared],
    }
    known = {name: values for name, values in costs.items() if np.isfinite(values).any()}
    figure, axes = plt.subplots(
        1, len(known), figsize=(3.4 * len(known) + 0.6, 3.0), squeeze=False, sharey=True, layout="constrained"
    )
    for ax, (name, values) in zip(axes[0], known.items(), strict=True):
        for (entry, colour), cost in zip(_coloured(compared), values, strict=True):
            ax.plot([cost], [entry.error], "o", color=colour, label=literal(entry.label))
        wide = np.nanmax(values) > 10 * np.nanmin(values)
        ax.set(xscale="log" if wide else "linear", xlabel=name)
        ax.set_xlim(left=None if wide else 0)
        ax.grid(True)
    axes[0, 0].set(ylabel=_named(compared), ylim=(0, 1.15 * max(entry.error for entry in compared)))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=min(4, len(compared)))
    return figure


def draw_curves(plt: Any, compared: Sequence[Entry]) -> Any:
    """Median errors over time, and the middle 80 % of the samples."""
    figure, ax = plt.subplots(figsize=(9.5, 3.4), layout="constrained")
    for entry, colour in _coloured(compared):
        t, errors = entry.found.times.numpy(), entry.found.curve.numpy()
        low, middle, high = np.nanquantile(errors, (0.1, 0.5, 0.9), axis=0)
        ax.plot(t, middle, ".-", color=colour, ms=4, label=literal(entry.label))
        ax.fill_between(t, low, high, color=colour, alpha=0.12, lw=0)
    if ax.get_ylim()[1] > VALID:
        ax.axhline(VALID, color=INK, ls=":", lw=1)
    ax.set(yscale="log", xlabel="time after the input", ylabel="relative L2 error")
    ax.grid(True)
    ax.legend()
    return figure


def draw_error_spectra(plt: Any, compared: Sequence[Entry]) -> Any:
    """Of the first field in the last frame: the truth, and everyone's error."""
    found = compared[0].found
    label = list(found.spectra)[-1]
    figure, ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")
    truth = found.spectra[label][0, 0]
    shell_curve(ax, truth, color=TRUTH, lw=2, alpha=0.5, label="truth")
    for entry, colour in _coloured(compared):
        shell_curve(ax, entry.found.spectra[label][2, 0], color=colour, label=literal(entry.label))
    mark_bands(ax, found.window.bound.space, torch.stack([truth, *(e.found.spectra[label][2, 0] for e in compared)]))
    ax.set_title(literal(", ".join(part for part in (found.window.targets[0], label) if part)))
    ax.set_ylabel("half the mean square in a shell")
    ax.legend(loc="lower left")
    return figure


def draw_trainings(plt: Any, compared: Sequence[Entry]) -> Any:
    """Validation errors by epoch, a line for each seed."""
    figure, ax = plt.subplots(figsize=(9.5, 3.2), layout="constrained")
    for entry, colour in _coloured(compared):
        label: str | None = literal(entry.label)
        for subject, _ in entry.tried:
            if subject.run and (curve := subject.run.by_epoch("val/relative_l2")):
                ax.semilogy(np.array(list(curve)) + 1, list(curve.values()), color=colour, lw=1.2, label=label)
                label = None
    ax.set(xlabel="epoch", ylabel="validation error")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(True)
    ax.legend()
    return figure


def draw_same(plt: Any, compared: Sequence[Entry]) -> Any:
    """One sample's first field, in its last frame, through every surrogate: predictions above, errors below."""
    shown, window = compared[:MOST_SHOWN], compared[0].found.window
    space = window.bound.space
    truth = _last(shown[0].same.truth, window.evolves, space.ndim)
    predictions = [_last(entry.same.prediction, window.evolves, space.ndim) for entry in shown]
    if space.ndim == 1:
        return _curves(plt, shown, truth, predictions, space[0].points().numpy(), space[0].name)
    plane = space[-2:]
    columns = len(shown) + 1
    width = 10.0 / max(4, columns)
    figure, axes = plt.subplots(
        2, columns, figsize=(width * columns + 0.7, 2 * picture_height(plane, width) + 0.7), layout="constrained"
    )
    how, own = colours(truth), error_colours(np.stack([u - truth for u in predictions]))
    image = picture(figure, axes[0, 0], plane, truth, how, left=True, bottom=False)
    axes[0, 0].set_title("truth")
    axes[1, 0].axis("off")
    for (above, below), entry, u in zip(axes.T[1:], shown, predictions, strict=True):
        picture(figure, above, plane, u, how, left=False, bottom=False)
        error = picture(figure, below, plane, u - truth, own, left=below is axes[1, 1], bottom=True)
        above.set_title(literal(_short(entry.label)))
        below.set_title(f"error {entry.same.error:.3g}")
    bar(figure, image, axes[0])
    bar(figure, error, axes[1])
    return figure


def _curves(
    plt: Any, shown: Sequence[Entry], truth: np.ndarray, predictions: Sequence[np.ndarray], x: np.ndarray, name: str
) -> Any:
    figure, (above, below) = plt.subplots(2, 1, figsize=(9.5, 4.2), sharex=True, layout="constrained")
    above.plot(x, truth, color=TRUTH, lw=2, alpha=0.6, label="truth")
    for (entry, colour), u in zip(_coloured(shown), predictions, strict=True):
        above.plot(x, u, "--", color=colour, label=literal(entry.label))
        below.plot(x, u - truth, color=colour)
    below.set(xlabel=literal(name), ylabel="error")
    above.legend()
    for ax in (above, below):
        ax.margins(x=0)
        ax.grid(True)
    return figure


def _last(fields: torch.Tensor, moves: bool, ndim: int) -> np.ndarray:
    """The first field of (C, *space) or (C, T, *space), of three axes the middle of the first."""
    values = (fields[0, -1] if moves else fields[0]).double().cpu().numpy()
    return values[values.shape[0] // 2] if ndim == 3 else values


def _short(label: str) -> str:
    return label if len(label) <= 24 else label[:23] + "…"
