"""A sample beside its prediction: pictures or curves, at rest or in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from pdeops.grid import Axis, Grid
from pdeops.report.canvas import Colours, colours, literal, mesh
from pdeops.report.embedded import ERROR, PREDICTION, TRUTH
from pdeops.report.evaluation import Shown
from pdeops.report.views import bar, frame_axes, picture_height
from pdeops.window import Window

Plane = Sequence[Axis]
WIDTH = 10.5  # inches
MOST_FIELDS = 3  # of the targets
MOST_INPUTS = 2  # of a steady problem
COLUMNS = 4  # frames
ROWS = ("truth", "prediction", "error")


def draw_sample(plt: Any, shown: Shown, window: Window) -> Any:
    """The figure of a sample: of fields at rest the input, truth, prediction and error, of fields that move some frames
    of the latter three, or images over space and time."""
    space, names = window.bound.space, tuple(window.targets)[:MOST_FIELDS]
    v, u = _numpy(shown.truth)[: len(names)], _numpy(shown.prediction)[: len(names)]
    if space.ndim == 3:  # the middle of the first axis
        v, u = (np.take(x, space[0].n // 2, axis=-3) for x in (v, u))
    plane = space[-2:]
    if window.evolves:
        times = window.time_step * np.arange(1, v.shape[1] + 1)
        if plane.ndim == 2:
            return _frames(plt, v, u, plane, names, times)
        if len(times) > COLUMNS:
            axis = Axis("time", len(times), window.time_step * len(times), "right")
            return _images(plt, v.swapaxes(1, 2), u.swapaxes(1, 2), (plane[0], axis), names, [])
        titles = [f"{name}, t = {t:.3g}" for name in names for t in times]
        return _curves(plt, v.reshape(-1, v.shape[-1]), u.reshape(-1, u.shape[-1]), plane[0], titles)
    given = [] if window.segment is not None else _inputs(shown.a, space, window.in_names)
    if plane.ndim == 1:
        return _curves(plt, v, u, plane[0], names, given)
    return _images(plt, v, u, plane, names, given)


def _numpy(x: Tensor) -> np.ndarray:
    return x.detach().double().cpu().numpy()


def _inputs(a: Tensor, space: Grid, names: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    fields = _numpy(a)[:MOST_INPUTS]
    if space.ndim == 3 and fields.ndim == 4:
        fields = np.take(fields, space[0].n // 2, axis=-3)
    return list(zip(names, fields, strict=False))


def error_colours(error: np.ndarray) -> Colours:
    finite = error[np.isfinite(error)]
    bound = float(np.abs(finite).max()) if finite.size else 0.0
    return "PuOr_r", -bound or -1.0, bound or 1.0


def picture(figure: Any, ax: Any, plane: Plane, values: np.ndarray, how: Colours, *, left: bool, bottom: bool) -> Any:
    image = mesh(ax, plane, values, how)
    image.set_rasterized(True)
    frame_axes(ax, plane, left=left, bottom=bottom)
    return image


def _frames(plt: Any, v: np.ndarray, u: np.ndarray, plane: Plane, names: Sequence[str], times: np.ndarray) -> Any:
    """Rows of truth, prediction and error of each field, columns of frames; one scale along a row's field."""
    picks = sorted({round(i) for i in np.linspace(0, len(times) - 1, min(COLUMNS, len(times)))})
    rows, width = 3 * len(names), (WIDTH - 1.4) / COLUMNS
    size = ((width + 0.12) * len(picks) + 1.4, (picture_height(plane, width) + 0.12) * rows + 0.5)
    figure, axes = plt.subplots(rows, len(picks), figsize=size, squeeze=False, layout="constrained")
    for c, name in enumerate(names):
        shared, own = colours(v[c][picks]), error_colours((u - v)[c][picks])
        kinds = zip(ROWS, (v[c], u[c], u[c] - v[c]), (shared, shared, own), strict=True)
        for row, (kind, values, how) in enumerate(kinds, 3 * c):
            for ax, i in zip(axes[row], picks, strict=True):
                first, last = ax is axes[row, 0], row == rows - 1
                image = picture(figure, ax, plane, values[i], how, left=first, bottom=last)
                if row == 0:
                    ax.set_title(f"t = {times[i]:.4g}")
            axes[row, 0].set_ylabel(literal(f"{name}\n{kind}" if len(names) > 1 else kind))
            bar(figure, image, axes[row])
    return figure


def _images(
    plt: Any,
    v: np.ndarray,
    u: np.ndarray,
    plane: Plane,
    names: Sequence[str],
    given: Sequence[tuple[str, np.ndarray]],
) -> Any:
    """A row for each field: the inputs (in the first), truth, prediction and error."""
    columns = len(given) + 3
    width = (WIDTH - 0.9 * columns) / columns
    size = (WIDTH, (picture_height(plane, width) + 0.35) * len(names) + 0.4)
    figure, axes = plt.subplots(len(names), columns, figsize=size, squeeze=False, layout="constrained")
    for row, name in enumerate(names):
        shared, error = colours(v[row]), u[row] - v[row]
        parts = [(f"input: {text}", values, colours(values)) for text, values in given] if row == 0 else []
        for ax in axes[row, : len(given) - len(parts)]:
            ax.axis("off")
        parts += [
            (f"truth: {name}", v[row], shared),
            ("prediction", u[row], shared),
            ("error", error, error_colours(error)),
        ]
        shown = axes[row, -len(parts) :]
        for ax, (title, values, how) in zip(shown, parts, strict=True):
            image = picture(figure, ax, plane, values, how, left=ax is shown[0], bottom=row == len(names) - 1)
            ax.set_title(literal(title))
            bar(figure, image, ax)
        shown[0].set_ylabel(literal(plane[1].name))
    return figure


def _curves(
    plt: Any,
    v: np.ndarray,
    u: np.ndarray,
    axis: Axis,
    titles: Sequence[str],
    given: Sequence[tuple[str, np.ndarray]] = (),
) -> Any:
    """A column for each input and field: truth and prediction over each other, the error below."""
    columns = len(given) + len(titles)
    size = (max(5.0, min(WIDTH, 3.4 * columns)), 3.6)
    figure, axes = plt.subplots(
        2, columns, figsize=size, squeeze=False, sharex=True, height_ratios=[2, 1], layout="constrained"
    )
    x = axis.points().numpy()
    for (name, values), (above, below) in zip(given, axes.T, strict=False):
        above.plot(x, np.broadcast_to(values, x.shape), color=TRUTH)
        above.set_title(literal(f"input: {name}"))
        below.axis("off")
    for i, (title, (above, below)) in enumerate(zip(titles, axes.T[len(given) :], strict=True)):
        above.plot(x, v[i], color=TRUTH, label="truth")
        above.plot(x, u[i], "--", color=PREDICTION, label="prediction")
        below.plot(x, u[i] - v[i], color=ERROR, label="error")
        above.set_title(literal(title))
        below.set_xlabel(literal(axis.name))
        if i == 0:
            above.legend()
            below.set_ylabel("error")
    for ax in axes.flat:
        ax.grid(True)
        ax.margins(x=0)
    return figure
