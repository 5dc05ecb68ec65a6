"""A data file on one page: samples, spectra, energy budgets, accuracy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from pdeops.data.file import DataFile
from pdeops.errors import InputError
from pdeops.report import panels
from pdeops.report.budget import energy_budget
from pdeops.report.canvas import literal, pyplot, save
from pdeops.report.selection import Selection
from pdeops.report.views import WIDTH, view

ROW = 2.7  # inches of a row of curves
Panel = Callable[[Any], None]


def draw_page(chosen: Selection, path: Path, *, overwrite: bool = False) -> Path:
    """Write the page. Raises InputError if `path` is there and may not be overwritten."""
    pictures, title = view(chosen), heading(chosen.file)
    rows, notes = _panels(chosen)
    heights = [pictures.height] + [ROW * len(rows)] * bool(rows) + [0.2 + 0.16 * len(notes)] * bool(notes)
    top = 0.1 + 0.2 * len(title)
    figure = pyplot().figure(figsize=(WIDTH, top + sum(heights)), layout="constrained")
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    figure.suptitle(literal("\n".join(title)), fontsize=10)
    pictures.draw(next(parts))
    if rows:
        part, columns = next(parts), max(len(row) for row in rows)
        grid = part.add_gridspec(len(rows), columns)
        for i, row in enumerate(rows):
            for j, panel in enumerate(row):  # the first row alone may have a last panel, which takes the whole column
                panel(part.add_subplot(grid[:, j] if len(rows[-1]) <= j else grid[i, j]))
    if notes:
        next(parts).text(0.01, 0.5, literal("\n".join(notes)), fontsize=8, color="0.3", va="center")
    return save(figure, path, overwrite=overwrite)


def heading(file: DataFile) -> list[str]:
    """The data set, its samples, grid and parameters, in lines."""
    spec, time = file.spec, file.spec.grid.time
    sizes = ", ".join(f"{len(v)} {k}" for k, v in file.split.items())
    nodes = " × ".join(f"{axis.n}" for axis in spec.grid.space)
    box = " × ".join(f"[{axis.start:.4g}, {axis.start + axis.length:.4g}]" for axis in spec.grid.space)
    frames = f"; {time.n} frames from t = {time.start:.4g} to {time.start + time.length:.4g}" if time else ""
    lines = [f"{spec.name} ({file.path.name})", f"{file.n} samples ({sizes}); {nodes} nodes on {box}{frames}"]
    return lines + wrap(", ".join(f"{k} = {v:.4g}" for k, v in spec.parameters.items()), 130)


def _panels(chosen: Selection) -> tuple[list[list[Panel]], list[str]]:
    """Rows of panels, one row per field, and notes on what is not there, and why."""
    rows: list[list[Panel]] = [[] for _ in chosen.fields]
    notes = []
    if chosen.left_out:
        notes.append(f"Not shown: {', '.join(chosen.left_out)} (choose one with --field).")
    if chosen.space.ndim == 3:
        axis = chosen.space[0]
        notes.append(f"Pictures are slices at {axis.name} = {float(axis.points()[axis.n // 2]):.4g}.")
    try:
        for row, field in zip(rows, chosen.fields, strict=True):
            curves = panels.spectra(chosen, field)
            row.append(partial(panels.draw_spectra, chosen=chosen, field=field, curves=curves))
    except InputError as reason:
        notes.append(f"No spectrum: {reason}.")
    if chosen.moving:
        try:
            budget = energy_budget(chosen.file, chosen.samples)
            for row, field in zip(rows, chosen.fields, strict=True):
                row.append(partial(panels.draw_budget, budget=budget, name=field.name, times=chosen.times))
        except InputError as reason:
            notes.append(f"No energy budget: {reason}.")
    values = panels.accuracy(chosen.file)
    if values:
        rows[0].append(partial(panels.draw_accuracy, values=values, shown=chosen.samples))
    return [row for row in rows if row], notes
