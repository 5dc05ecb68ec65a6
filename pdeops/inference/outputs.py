"""Predictions on their way into a file, a few samples or frames at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
import torch
from torch import Tensor

from pdeops import __version__
from pdeops.data.moments import Moments
from pdeops.data.schema import Field, Spec, create
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.inference.inputs import Inputs
from pdeops.surrogate import Surrogate

SUFFIXES = (".h5", ".hdf5", ".npy")


class Outputs(Protocol):
    """A file of n samples (C, frames, *space), or (C, *space) where there are no frames."""

    def write(self, sample: int, u: Tensor, frame: int = 0) -> None:
        """Some samples from one on, (B, C, k, *space), their frames from one on; or (B, C, *space)."""
        ...

    def read(self, sample: int, frame: int) -> Tensor:
        """One frame of one sample, (1, C, 1, *space)."""
        ...


def check_target(path: Path, overwrite: bool, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Raise InputError, before anything is computed, if a file cannot be written there."""
    if path.suffix not in suffixes:
        raise InputError(f"{path}: wanted a name that ends in {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} is already there; replace it with overwrite=True (--force), or choose another name")


@contextmanager
def native(path: Path, surrogate: Surrogate, given: Inputs, grid: Grid, source: str) -> Iterator[Outputs]:
    """A data file of the surrogate's targets on a grid (time first, of the frames, if there are any)."""
    file, window = given.file, surrogate.window
    units = {x.name: x.units for x in file.spec.fields} if file else {}
    fields = tuple(Field(x, "target", grid.time is not None, units=units.get(x, "1")) for x in window.targets)
    name, parameters = (file.spec.name, file.spec.parameters) if file else ("arrays", {})
    spec = Spec(name, grid, fields, parameters)
    provenance = {
        "predicted": type(surrogate.model).__name__,
        "surrogate": source,
        "inputs": file.path.name if file else "arrays",
        "pdeops": __version__,
    }
    with h5py.File(path, "w") as f:
        create(f, spec, given.n, given.codes, provenance)
        outputs = _Native(f, spec)
        yield outputs
        outputs.end()


class _Native:
    def __init__(self, f: h5py.File, spec: Spec) -> None:
        self.data = [f[f"t0_fields/{x.name}"] for x in spec.fields]
        self.moments = [Moments(x.time_varying) for x in spec.fields]
        self.last: dict[int, np.ndarray] = {}
        self.f, self.spec = f, spec

    def write(self, sample: int, u: Tensor, frame: int = 0) -> None:
        values = u.float().cpu().numpy()
        for c, (data, moments) in enumerate(zip(self.data, self.moments, strict=True)):
            if self.spec.grid.time is None:
                data[sample : sample + len(values)] = values[:, c]
            else:
                data[sample : sample + len(values), frame : frame + values.shape[2]] = values[:, c]
            for row, one in enumerate(values[:, c], sample):
                moments.add(one, self.last[row][c] if frame else None)
        if self.spec.grid.time is not None:
            self.last = {row: one[:, -1] for row, one in enumerate(values, sample)}

    def read(self, sample: int, frame: int) -> Tensor:
        return torch.from_numpy(np.stack([data[sample, frame] for data in self.data]))[None, :, None]

    def end(self) -> None:
        for x, moments in zip(self.spec.fields, self.moments, strict=True):
            group = self.f.require_group(f"pdeops/stats/{x.name}")
            for key, value in moments.stats().items():
                group[key] = value


class Array:
    """An array (n, *shape) in a file `.npy`."""

    def __init__(self, path: Path, n: int, shape: Sequence[int], dtype: torch.dtype) -> None:
        self.path = path
        kind = torch.empty(0, dtype=dtype).numpy().dtype
        with path.open("wb") as f:  # by its own name: NumPy appends a suffix to others
            np.lib.format.write_array_header_2_0(
                f, {"descr": kind.str, "fortran_order": False, "shape": (n, *map(int, shape))}
            )
            f.truncate(f.tell() + n * int(np.prod(shape)) * kind.itemsize)

    def write(self, sample: int, u: Tensor, frame: int = 0) -> None:
        rows = np.load(self.path, mmap_mode="r+")[sample : sample + len(u)]  # closed again, as it is read (`inputs`)
        where = rows if u.shape[1:] == rows.shape[1:] else rows[:, :, frame : frame + u.shape[2]]
        where[...] = u.cpu().numpy()

    def read(self, sample: int, frame: int) -> Tensor:
        return torch.from_numpy(np.array(np.load(self.path, mmap_mode="r")[sample : sample + 1, :, frame : frame + 1]))


def time_axis(n: int, step: float, start: float) -> Axis:
    """n frames a step apart, the first of them a step after the start."""
    return Axis("time", n, n * step, "right", start)
