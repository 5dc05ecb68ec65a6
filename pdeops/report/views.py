"""Pictures of samples: images or curves, in time or side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdeops.data.schema import Field
from pdeops.grid import Axis
from pdeops.report.canvas import colours, literal, mesh, pyplot
from pdeops.report.selection import Selection

WIDTH = 11.0  # of a page, in inches
COLUMNS = 5  # frames of a sample, where each is an image
FEW = 6  # so many frames of a line are curves in one picture; more are an image over space and time


@dataclass(frozen=True)
class View:
    """A part of a page: its height in inches, and what draws it into a subfigure."""

    height: float
    draw: Callable[[Any], None]


def view(chosen: Selection) -> View:
    """Of fields in time: frames from the first to the last, or images over space and time; of others: side by side."""
    samples, fields = len(chosen.samples), len(chosen.fields)
    match chosen.moving, chosen.plane.ndim:
        case True, 1:
            return View(0.5 + 2.3 * fields, lambda figure: _lines_in_time(figure, chosen))
        case True, _:
            columns = len(chosen.frames(COLUMNS))
            height = picture_height(chosen.plane, (WIDTH - 2) / max(columns, 3))
            return View(0.7 + (height + 0.1) * samples * fields, lambda figure: _images_in_time(figure, chosen))
        case False, 1:
            return View(2.9, lambda figure: _lines(figure, chosen))
    height = picture_height(chosen.plane, (WIDTH - 1) / max(fields, 3) - 0.9)
    return View(0.7 + (height + 0.1) * samples, lambda figure: _images(figure, chosen))


def picture_height(plane: Sequence[Axis], width: float) -> float:
    """Inches of a picture of a plane at its true proportions, within reason."""
    return width * float(np.clip(plane[1].length / plane[0].length, 0.3, 1.3))


def frame_axes(ax: Any, plane: Sequence[Axis], *, left: bool = True, bottom: bool = True) -> None:
    """True proportions (within reason), and the ends of the axes."""
    across, up = plane
    true = 0.3 <= up.length / across.length <= 4
    ax.set(aspect="equal" if true else "auto", xticks=_ends(across), yticks=_ends(up))
    ax.tick_params(labelsize=7, labelleft=left, labelbottom=bottom, length=2)
    if bottom:
        ax.set_xlabel(across.name, fontsize=8, labelpad=-6)


def _ends(axis: Axis) -> list[float]:
    return [axis.start, axis.start + axis.length]


def _label(ax: Any, caption: str, field: Field, axis: Axis) -> None:
    ax.set_ylabel(literal(f"{caption}\n{field.name}\n{axis.name}"), fontsize=8)


def _images_in_time(figure: Any, chosen: Selection) -> None:
    frames = chosen.frames(COLUMNS)
    rows = [(sample, field) for sample in chosen.samples for field in chosen.fields]
    grid = figure.subplots(len(rows), len(frames), squeeze=False)
    for row, (axes, (sample, field)) in enumerate(zip(grid, rows, strict=True)):
        pictures = np.stack([chosen.picture(field, sample, frame) for frame in frames])
        how = colours(pictures)
        for ax, frame, values in zip(axes, frames, pictures, strict=True):
            image = mesh(ax, chosen.plane, values, how)
            frame_axes(ax, chosen.plane, left=ax is axes[0], bottom=row == len(rows) - 1)
            if row == 0:
                ax.set_title(f"t = {float(chosen.times[frame]):.3g}", fontsize=9)
        _label(axes[0], chosen.caption(sample), field, chosen.plane[1])
        bar(figure, image, axes)


def _lines_in_time(figure: Any, chosen: Selection) -> None:
    time, line = chosen.file.spec.grid[0], chosen.plane[0]
    grid = figure.subplots(len(chosen.fields), len(chosen.samples), squeeze=False, sharex=True)
    for row, field in zip(grid, chosen.fields, strict=True):
        row[0].set_ylabel(literal(field.name if time.n <= FEW else f"{field.name}\ntime"), fontsize=8)
        for ax, sample in zip(row, chosen.samples, strict=True):
            values = chosen.file.read_field(field.name, sample)
            if time.n <= FEW:
                for i, t in enumerate(chosen.times):
                    shade = pyplot().cm.viridis(0.9 * i / max(1, time.n - 1))
                    ax.plot(line.points().numpy(), values[i], color=shade, lw=1.2, label=f"t = {float(t):.3g}")
                ax.margins(x=0)
                ax.grid(alpha=0.3)
            else:
                bar(figure, mesh(ax, (line, time), values.T, colours(values)), ax)
            ax.tick_params(labelsize=7)
    for top, bottom, sample in zip(grid[0], grid[-1], chosen.samples, strict=True):
        top.set_title(literal(chosen.caption(sample)), fontsize=9)
        bottom.set_xlabel(literal(line.name), fontsize=8)
    if time.n <= FEW:
        grid[0, 0].legend(fontsize=7)


def _images(figure: Any, chosen: Selection) -> None:
    grid = figure.subplots(len(chosen.samples), len(chosen.fields), squeeze=False)
    for row, (axes, sample) in enumerate(zip(grid, chosen.samples, strict=True)):
        for ax, field in zip(axes, chosen.fields, strict=True):
            values = chosen.picture(field, sample)
            image = mesh(ax, chosen.plane, values, colours(values))
            frame_axes(ax, chosen.plane, left=ax is axes[0], bottom=row == len(chosen.samples) - 1)
            bar(figure, image, ax)
            if row == 0:
                ax.set_title(_role(field), fontsize=9)
        axes[0].set_ylabel(literal(f"{chosen.caption(sample)}\n{chosen.plane[1].name}"), fontsize=8)


def _lines(figure: Any, chosen: Selection) -> None:
    for ax, field in zip(figure.subplots(1, len(chosen.fields), squeeze=False)[0], chosen.fields, strict=True):
        for sample in chosen.samples:
            ax.plot(chosen.plane[0].points().numpy(), chosen.picture(field, sample), lw=1.2, label=f"sample {sample}")
        ax.set_title(_role(field), fontsize=9)
        ax.set_xlabel(chosen.plane[0].name, fontsize=8)
        ax.tick_params(labelsize=7)
        ax.grid(alpha=0.3)
        ax.margins(x=0)
    figure.axes[0].legend(fontsize=7)


def _role(field: Field) -> str:
    return literal(f"{field.role}: {field.name}")


def bar(figure: Any, image: Any, axes: Any) -> None:
    figure.colorbar(image, ax=axes, pad=0.01, aspect=15).ax.tick_params(labelsize=7)
