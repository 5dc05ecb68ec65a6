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
Place = tuple[slice, int]  # rows and column


def draw_page(chosen: Selection, path: Path, *, overwrite: bool = False) -> Path:
    """Write the page. Raises InputError if `path` is there and may not be overwritten."""
    pictures, title = view(chosen), heading(chosen.file)
    cells, notes = _panels(chosen)
    rows = max((place[0].stop for place, _ in cells), default=0)
    heights = [pictures.height] + [ROW * rows] * bool(rows) + [0.2 + 0.16 * len(notes)] * bool(notes)
    top = 0.1 + 0.2 * len(title)
    figure = pyplot().figure(figsize=(WIDTH, top + sum(heights)), layout="constrained")
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    figure.suptitle(literal("\n".join(title)), fontsize=10)
    pictures.draw(next(parts))
    if rows:
        part = next(parts)
        grid = part.add_gridspec(rows, max(2, *(place[1] + 1 for place, _ in cells)))
        for place, panel in cells:
            panel(part.add_subplot(grid[place]))
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


def _panels(chosen: Selection) -> tuple[list[tuple[Place, Panel]], list[str]]:
    """Panels with their places in a grid, and notes on what is not there, and why."""
    spectra: list[Panel] = []
    budgets: list[Panel] = []
    last: list[Panel] = []
    notes = []
    if chosen.left_out:
        notes.append(f"Not shown: {', '.join(chosen.left_out)} (choose one with --field).")
    if chosen.space.ndim == 3:
        axis = chosen.space[0]
        notes.append(f"Pictures are slices at {axis.name} = {float(axis.points()[axis.n // 2]):.4g}.")
    try:
        for field in chosen.fields:
            curves = panels.spectra(chosen, field)
            spectra.append(partial(panels.draw_spectra, chosen=chosen, field=field, curves=curves))
    except InputError as reason:
        notes.append(f"No spectrum: {reason}.")
    if chosen.moving:
        try:
            budget = energy_budget(chosen.file, chosen.samples)
            for field in chosen.fields:
                budgets.append(partial(panels.draw_budget, budget=budget, name=field.name, times=chosen.times))
        except InputError as reason:
            notes.append(f"No energy budget: {str(reason).rstrip('.')}.")
    values = panels.accuracy(chosen.file)
    if values:
        last.append(partial(panels.draw_accuracy, values=values, shown=chosen.samples))
    return _placed(spectra, budgets, last), notes


def _placed(spectra: list[Panel], budgets: list[Panel], last: list[Panel]) -> list[tuple[Place, Panel]]:
    """Spectra beside budgets, a row per field, and the last panel as a column; without budgets three in a row."""
    if not budgets:
        return [((slice(i // 3, i // 3 + 1), i % 3), panel) for i, panel in enumerate(spectra + last)]
    columns = [column for column in (spectra, budgets) if column]
    pairs = [((slice(i, i + 1), j), panel) for j, column in enumerate(columns) for i, panel in enumerate(column)]
    return pairs + [((slice(0, len(budgets)), len(columns)), panel) for panel in last]
