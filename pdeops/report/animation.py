"""Samples of a data file moving through time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.report.canvas import colours, literal, mesh, pyplot
from pdeops.report.selection import Selection
from pdeops.report.views import bar, frame_axes, picture_height

MOST_FRAMES = 100
FRAMES_PER_SECOND = 10


def animate(chosen: Selection, path: Path, *, overwrite: bool = False) -> Path:
    """Write an animation, fields below each other and samples side by side; of more than 100 frames a selection.

    Raises InputError if nothing moves, if a .mp4 is wanted and ffmpeg is not there, and if `path` is there and may
    not be overwritten.
    """
    from matplotlib.animation import FFMpegWriter, PillowWriter

    if not chosen.moving:
        fields = ", ".join(x.name for x in chosen.fields)
        raise InputError(f"nothing moves in {fields} of {chosen.file.path}; draw a page: a name that ends in .png")
    if path.suffix == ".mp4" and not shutil.which("ffmpeg"):
        raise InputError(f"{path}: a .mp4 needs the program ffmpeg, which is not installed; a .gif needs nothing")
    writer = (PillowWriter if path.suffix == ".gif" else FFMpegWriter)(fps=FRAMES_PER_SECOND)
    frames = chosen.frames(MOST_FRAMES)
    figure, update = _stage(chosen, frames)
    with atomically(path, overwrite=overwrite) as temporary:
        named = temporary.with_suffix(path.suffix)  # writers take their format from the name
        try:
            with writer.saving(figure, named, dpi=90):
                for frame in frames:
                    update(frame)
                    if frame == frames[0]:
                        figure.canvas.draw()
                        figure.set_layout_engine("none")  # the first frame's layout serves all
                    writer.grab_frame()
            named.replace(temporary)
        finally:
            named.unlink(missing_ok=True)
            pyplot().close(figure)
    return path


def _stage(chosen: Selection, frames: list[int]) -> tuple[Any, Any]:
    """The figure at the first frame, and what turns it to another."""
    plane, lines = chosen.plane, chosen.plane.ndim == 1
    width = max(2.4, 9 / max(3, len(chosen.samples)))
    height = 2.2 if lines else picture_height(plane, width - 0.7) + 0.2
    size = (width * len(chosen.samples) + 0.4, height * len(chosen.fields) + 0.7)
    figure, grid = pyplot().subplots(
        len(chosen.fields), len(chosen.samples), figsize=size, squeeze=False, layout="constrained"
    )
    artists = []
    for row, field in zip(grid, chosen.fields, strict=True):
        for ax, sample in zip(row, chosen.samples, strict=True):
            # one frame at a time: a trajectory of large frames is never held
            ends = np.array([_ends(chosen.picture(field, sample, frame)) for frame in frames])
            first = chosen.picture(field, sample, frames[0])
            if lines:
                x = plane[0].points().numpy()
                ax.plot(x, first, color="0.8", lw=1)
                artist = ax.plot(x, first, lw=1.5)[0]
                margin = 0.05 * (np.nanmax(ends) - np.nanmin(ends)) or 1.0
                ax.set(xlim=(x[0], x[-1]), ylim=(np.nanmin(ends) - margin, np.nanmax(ends) + margin))
                ax.tick_params(labelsize=7)
                turn = artist.set_ydata
            else:
                artist = mesh(ax, plane, first, colours(ends))
                frame_axes(ax, plane, left=ax is row[0], bottom=ax in grid[-1])
                bar(figure, artist, ax)
                turn = lambda values, artist=artist: artist.set_array(values.T)  # noqa: E731
            artists.append((turn, field, sample))
        row[0].set_ylabel(literal(field.name), fontsize=9)
    for top, bottom, sample in zip(grid[0], grid[-1], chosen.samples, strict=True):
        top.set_title(literal(chosen.caption(sample)), fontsize=9)
        bottom.set_xlabel(literal(plane[0].name), fontsize=8)
    title = figure.suptitle(" ", fontsize=10)

    def update(frame: int) -> None:
        title.set_text(literal(f"{chosen.file.spec.name}, t = {float(chosen.times[frame]):.4g}"))
        for turn, field, sample in artists:
            turn(chosen.picture(field, sample, frame))

    return figure, update


def _ends(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (np.nan, np.nan)
