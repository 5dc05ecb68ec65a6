"""What of a data file a surrogate is asked: by which window, of which samples, under which equation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pdeops.config import from_config
from pdeops.data.file import DataFile
from pdeops.data.schema import SPLITS
from pdeops.errors import InputError, did_you_mean
from pdeops.grid import Axis
from pdeops.problems.base import Problem
from pdeops.surrogate import Surrogate
from pdeops.window import Window


def window_on(surrogate: Surrogate, file: DataFile) -> Window:
    """The surrogate's window on a file's grid, with the stride that makes its time step.

    Raises InputError, with the reason, where there is none."""
    own, grid, told = surrogate.window, file.spec.grid, f"{file.path} does not fit this surrogate"
    theirs = {"targets": file.targets, "inputs": file.inputs}
    for role, wanted in (("targets", own.targets), ("inputs", own.inputs)):
        if tuple(wanted) != theirs[role]:
            raise InputError(f"{told}: its {role} are {list(theirs[role])}, and {list(wanted)} are wanted")
    if own.bound.names != grid.names:
        raise InputError(f"{told}: its axes are {list(grid.names)}, and {list(own.bound.names)} are wanted")
    for mine, its in zip(own.bound, grid, strict=True):
        free = mine.name == "time" or own.segment is not None  # as long as it likes
        if not free and mine.resized(2) != its.resized(2):
            raise InputError(f"{told}: its axis is {_place(its)}, and {_place(mine)} was trained on")
    stride = _stride(own, grid[0], told) if own.evolves or own.segment is not None else 1
    return replace(own, stride=stride).on(grid, own.targets, own.inputs)


def _stride(own: Window, axis: Axis, told: str) -> int:
    """Of a time axis, or of driven systems (1), so that the window's frames are as far apart as in training."""
    spacing = axis.length / axis.intervals
    wanted = own.time_step if own.evolves else own.bound[0].length / own.bound[0].intervals
    stride = round(wanted / spacing)
    if stride < 1 or abs(stride * spacing - wanted) > 1e-6 * wanted or (own.segment is not None and stride > 1):
        raise InputError(f"{told}: it has values {spacing:g} apart along {axis.name}, and {wanted:g} were trained on")
    return stride


def _place(axis: Axis) -> str:
    end = axis.start + axis.length
    return f"{axis.name} in [{axis.start:g}, {end:g}], {axis.nodes} nodes, {axis.bc}"


def chosen(file: DataFile, split: str, samples: int | Sequence[int] | None) -> np.ndarray:
    """Numbers of samples in a file: so many from the first of a split, or those given, or the whole split.

    Raises InputError where there are none."""
    if split != "all" and split not in SPLITS:
        raise InputError(f"split={split!r}. {did_you_mean(split, [*SPLITS, 'all'])}")
    numbers = np.arange(file.n) if split == "all" else file.split[split]
    if isinstance(samples, Sequence):
        numbers = np.array(samples, dtype=int)
        if absent := [i for i in samples if not 0 <= i < file.n]:
            raise InputError(f"there is no sample {absent[0]} in {file.path}: it holds samples 0 to {file.n - 1}")
    elif samples is not None:
        if samples < 1:
            raise InputError(f"samples={samples}: wanted at least 1")
        numbers = numbers[:samples]
    if not len(numbers):
        sizes = ", ".join(f"{len(v)} {k}" for k, v in file.split.items())
        raise InputError(f"{file.path} has no samples to evaluate on in split={split}: it has {sizes}")
    return numbers


def problem_of(file: DataFile, window: Window) -> Problem | None:
    """The equation of the file's samples."""
    return window.posed(from_config(file.spec.problem)) if file.spec.problem is not None else None
