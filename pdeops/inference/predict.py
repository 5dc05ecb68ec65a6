"""Predictions of whole files, larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import numpy as np
from torch import Tensor
from tqdm import tqdm

from pdeops.errors import InputError, check_positive
from pdeops.files import atomically
from pdeops.grid import Grid
from pdeops.inference.batches import over
from pdeops.inference.inputs import Inputs, inputs
from pdeops.inference.memory import fitting
from pdeops.inference.outputs import SUFFIXES, Array, Outputs, check_target, native, time_axis
from pdeops.surrogate import Surrogate
from pdeops.window import Window


def predict_file(
    surrogate: Surrogate,
    source: str | Path,
    out: str | Path,
    *,
    nodes: Sequence[int] | None = None,
    points: np.ndarray | Tensor | None = None,
    batch_size: int | None = None,
    split: str | None = None,
    overwrite: bool = False,
    name: str = "",
) -> Path:
    """Predict every sample of a file; no more than a batch of them is ever in memory.

    source: a data file, ours or The Well's, that holds the surrogate's input fields by name, of histories the first
    frames as far apart as the window's; or `.npy`, an array (n, C_in, *grid_in). out: `.h5`, a data file of the
    targets in single precision (of an evolution on a time axis that goes on from the history's), or `.npy`, the
    surrogate's outputs as they are. It is there once it is complete.

    nodes: of the output, per axis in space, one for all or one each; None: those of the input. points: (N, d), the
    output is then `.npy`, (n, C_out, N). batch_size: None: as many as memory holds. split: these samples alone.
    name: what the file is to call the surrogate. Raises InputError on what does not fit, before anything is computed
    where that can be told, and on predictions that are not finite.
    """
    out, window = Path(out), surrogate.window
    check_target(out, overwrite, (".npy",) if points is not None else SUFFIXES)
    check_positive("inference", batch_size=batch_size)
    if nodes is not None and points is not None:
        raise InputError("nodes and points are two places for one output: give one of them")
    if window.segment is not None:
        raise InputError("a driven system is followed segment after segment: use rollout (rollout_file)")
    given = inputs(window, source, split)
    where = points if points is not None else _grid(window, nodes)
    size = fitting(surrogate, given.nodes, where) if batch_size is None else batch_size
    fixed = batch_size is not None
    parts = over(given.n, size, lambda i, j: surrogate.predict(given.read(i, j), where), fixed=fixed)
    bar = tqdm(total=given.n, unit="sample", desc="predicting", disable=None)
    with atomically(out, overwrite=overwrite) as temporary, bar:
        head = next(parts)
        with _opened(out, temporary, surrogate, given, head[1], name) as written:
            for first, u in chain([head], parts):
                check_finite(u, first)
                written.write(first, u if out.suffix == ".npy" or not window.evolves else window.unstack(u))
                bar.update(len(u))
    return out


def _grid(window: Window, nodes: Sequence[int] | None) -> Grid | None:
    if nodes is None:
        return None
    space = window.grid_out.space
    each = tuple(nodes) * space.ndim if len(nodes) == 1 else tuple(nodes)
    if len(each) != space.ndim or min(each) < 1:
        raise InputError(f"nodes={list(nodes)}; wanted one number for all of {space.names} or one for each, from 1 on")
    return window.grid_out.resized_in_space(each)


@contextmanager
def _opened(out: Path, temporary: Path, surrogate: Surrogate, given: Inputs, u: Tensor, name: str) -> Iterator[Outputs]:
    """The file of predictions such as u, to be called `out`."""
    if out.suffix == ".npy":
        yield Array(temporary, given.n, u.shape[1:], u.dtype)
        return
    window = surrogate.window
    space = window.bound.space
    grid = space.resized(u.shape[-space.ndim :])
    if window.evolves:
        grid = Grid((time_axis(window.n_out, window.time_step, given.time),)) + grid
    with native(temporary, surrogate, given, grid, name) as written:
        yield written


def check_finite(u: Tensor, first: int) -> None:
    finite = u.isfinite().flatten(1).all(1)
    if not finite.all():
        raise InputError(
            f"the prediction of input {first + int((~finite).nonzero()[0])} is not finite: in half precision its "
            "numbers may be too large; else the surrogate is broken, or has never seen such an input"
        )
