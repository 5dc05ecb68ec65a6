"""What a surrogate is given, read from a file a few samples at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isclose
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pdeops.data.file import DataFile
from pdeops.data.schema import SPLITS
from pdeops.errors import InputError, did_you_mean, first_line
from pdeops.grid import Grid
from pdeops.window import Window

CLOSE = 1e-3  # relative, of lengths and times that foreign files hold as single numbers


def inputs(window: Window, path: str | Path, split: str | None = None) -> Inputs:
    """The inputs in a data file, or in an array `.npy` (n, C_in, *grid_in).

    split: of a data file, only these samples. Raises InputError if the file is missing, damaged, or does not hold what
    the window takes.
    """
    if Path(path).suffix != ".npy":
        return FileInputs(window, DataFile(path), split)
    if split is not None:
        raise InputError(f"split={split!r}: {path} is an array, whose samples have no splits")
    return ArrayInputs(window, Path(path))


class ArrayInputs:
    """The rows of an array in a file."""

    time: float = 0.0  # of the last frame of their histories
    file: DataFile | None = None

    def __init__(self, window: Window, path: Path) -> None:
        self.path = path
        values = array(path)
        axes, channels = window.grid_in.names, list(window.in_names)
        if values.dtype.kind not in "biuf" or values.ndim != len(axes) + 2 or values.shape[1] != len(channels):
            raise InputError(
                f"{path} holds {values.dtype} of shape {values.shape}; wanted real numbers (n, {len(channels)}, "
                f"{', '.join(axes)}) with the channels {channels}"
            )
        self.n, self.nodes = len(values), values.shape[2:]
        if not self.n:
            raise InputError(f"{path} has no samples: it is of shape {values.shape}")
        self.codes = np.full(self.n, SPLITS.index("test"), dtype=np.int8)

    def read(self, first: int, last: int) -> Tensor:
        """a (B, C_in, *grid_in) of the samples first:last. Raises InputError on values that are not finite."""
        values = np.array(
            array(self.path)[first:last]
        )  # the map is closed again: what it has read does not stay in memory
        return _finite(torch.from_numpy(values), self.path, range(first, last))


def array(path: str | Path) -> np.ndarray:
    """A map of the array in a file `.npy`. Raises InputError if there is none."""
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (ValueError, EOFError, OSError) as error:
        raise InputError(f"{path} is not an array of NumPy, or is damaged: {first_line(error)}") from error


class FileInputs:
    """Samples of a data file: fields by their names, histories from the first frame on, at the window's distances."""

    def __init__(self, window: Window, file: DataFile, split: str | None = None) -> None:
        self.window, self.file = window, file
        states = window.targets if window.evolves or window.segment is not None else ()
        self._check_names((*states, *window.inputs))
        grid = file.spec.grid
        self._check_space(over_nodes(window, grid[0].n) if window.segment else window.bound.space, grid.space)
        self.frames = slice(0, 1)
        self.time = 0.0
        if window.evolves:
            self.frames, self.time = self._history(grid)
        stacked = window.stacked or not window.evolves
        self.nodes = grid.space.shape if stacked else (window.n_in, *grid.space.shape)
        self.samples, codes = np.arange(file.n), np.zeros(file.n, dtype=np.int8)
        for code, name in enumerate(SPLITS):
            codes[file.split[name]] = code
        if split is not None:
            if split not in SPLITS:
                raise InputError(f"split={split!r}; wanted one of {SPLITS}, or none for all samples")
            self.samples = file.split[split]
        if not len(self.samples):
            raise InputError(f"{file.path} has no samples{f' in its split {split!r}' if split else ''}")
        self.n, self.codes = len(self.samples), codes[self.samples]

    def read(self, first: int, last: int) -> Tensor:
        """As of `ArrayInputs`; of driven systems on all of their axis t."""
        samples = self.samples[first:last]
        a = self._fields(self.window.inputs, samples)
        if self.window.evolves:
            a = self.window.make_input(self._fields(self.window.targets, samples, self.frames), a)
        elif self.window.segment is not None:
            a = self.window.driven(a, self._fields(self.window.targets, samples)[..., 0])
        return _finite(a, self.file.path, samples)

    def _fields(self, names: Sequence[str], samples: np.ndarray, frames: slice | None = None) -> Tensor:
        """(B, C, *space), or (B, C, n_frames, *space)."""
        if not names:
            return torch.empty(len(samples), 0, *self.file.spec.grid.space.shape)
        rows = [[self.file.read_field(name, int(i), frames or slice(None)) for name in names] for i in samples]
        values = torch.from_numpy(np.array(rows))
        return values.unsqueeze(2) if frames is not None and self.file.spec.grid.time is None else values

    def _check_names(self, names: Sequence[str]) -> None:
        there = [x.name for x in self.file.spec.fields]
        for name in names:
            if name not in there:
                raise InputError(
                    f"{self.file.path} has no field {name!r}, which this surrogate takes. {did_you_mean(name, there)}"
                )

    def _check_space(self, own: Grid, given: Grid) -> None:
        same = own.names == given.names and all(
            a.nodes == b.nodes
            and isclose(a.length, b.length, rel_tol=CLOSE)
            and isclose(a.start, b.start, rel_tol=CLOSE, abs_tol=CLOSE * a.length)
            for a, b in zip(own, given, strict=True)
        )
        if not same:
            raise InputError(
                f"{self.file.path} has its samples on {given}; this surrogate was trained on {own}. Other numbers of "
                "nodes are welcome, other domains are not"
            )

    def _history(self, grid: Grid) -> tuple[slice, float]:
        """The frames of the history, and the time of the last."""
        n_in, step = self.window.n_in, self.window.time_step
        times = [0.0] if grid.time is None else grid.time.points().tolist()
        if n_in == 1:
            return slice(0, 1), times[0]
        apart = times[1] - times[0] if len(times) > 1 else step
        stride = round(step / apart)
        last = (n_in - 1) * stride
        if stride < 1 or not isclose(stride * apart, step, rel_tol=CLOSE) or last >= len(times):
            raise InputError(
                f"{self.file.path} has {len(times)} frames, {apart:g} apart; this surrogate takes {n_in}, "
                f"{step:g} apart"
            )
        return slice(0, last + 1, stride), times[last]


Inputs = ArrayInputs | FileInputs


def over_nodes(window: Window, n: int) -> Grid:
    """Of a driven system n nodes of its axis t, as far apart as the window's."""
    t = window.bound[0]
    return Grid((replace(t, n=n, length=t.length * (n - 1) / t.intervals),))


def _finite(a: Tensor, path: Path, samples: Sequence[int] | np.ndarray) -> Tensor:
    finite = a.isfinite().flatten(1).all(1)
    if not finite.all():
        raise InputError(f"{path}: sample {samples[int((~finite).nonzero()[0])]} holds NaN or infinite values")
    return a
