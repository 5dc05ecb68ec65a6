"""What every figure shares: the quiet backend, saving, colours, and fields drawn at their physical extent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pdeops.files import atomically
from pdeops.grid import Axis

Colours = tuple[str, float, float]  # colour map, lowest and highest value


def pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path, *, overwrite: bool = True) -> Path:
    """Write a figure and close it. Raises InputError if `path` is there and may not be overwritten."""
    with atomically(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=110, format=path.suffix[1:])
    pyplot().close(figure)
    return path


def colours(values: np.ndarray) -> Colours:
    """A diverging map about zero for values of both signs, a sequential one otherwise. A tenth of the
    range beyond zero is not a sign of its own: it may be round-off, or the overshoot of a positive field."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    bound = max(-low, high)
    if min(-low, high) > 0.1 * bound:
        return "RdBu_r", -bound, bound
    return "viridis", low, high


def mesh(ax: Any, plane: Sequence[Axis], values: np.ndarray, how: Colours) -> Any:
    """Draw values (n_0, n_1) on two axes, the first to the right: one cell about each node."""
    across, up = (cells(axis) for axis in plane)
    cmap, low, high = how
    return ax.pcolormesh(across, up, values.T, cmap=cmap, vmin=low, vmax=high)


def cells(axis: Axis) -> np.ndarray:
    """The n + 1 ends of the cells about the nodes: half-way between neighbours, and as far beyond the outer ones."""
    x = axis.points().numpy()
    if axis.n == 1:
        return np.array([axis.start, axis.start + axis.length])
    middle = (x[1:] + x[:-1]) / 2
    return np.concatenate([[2 * x[0] - middle[0]], middle, [2 * x[-1] - middle[-1]]])


def literal(text: str) -> str:
    """Text that matplotlib shows as it is: a name may hold a $, which would begin a formula."""
    return text.replace("$", r"\$")
