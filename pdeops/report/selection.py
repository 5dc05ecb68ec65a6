"""What of a data file is shown: which samples, which fields, which frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from pdeops.data.file import DataFile
from pdeops.data.schema import Field
from pdeops.errors import InputError, did_you_mean
from pdeops.grid import Grid

MOST_SAMPLES = 6  # on a page
MOST_ROWS = 6  # of pictures: one for each sample and field
MOST_FIELDS = 3  # that vary in time; of others
MOST_STILLS = 6
MOST_AVERAGED = 16  # samples behind a spectrum


@dataclass(frozen=True)
class Selection:
    """Samples and fields of a file. The fields all vary in time, or (`moving` is off) none does.

    averaged: the samples behind spectra; numbers: names of inputs that are constant in space, such as a drawn
    viscosity; left_out: names of further fields.
    """

    file: DataFile
    samples: tuple[int, ...]
    averaged: tuple[int, ...]
    fields: tuple[Field, ...]
    numbers: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def moving(self) -> bool:
        return self.fields[0].time_varying

    @cached_property
    def times(self) -> Tensor:
        """Of all frames; empty if nothing moves."""
        time = self.file.spec.grid.time
        return time.points() if self.moving and time else torch.empty(0)

    def frames(self, most: int) -> list[int]:
        """At most so many frames from the first to the last."""
        n = len(self.times)
        return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))})

    @property
    def space(self) -> Grid:
        return self.file.spec.grid.space

    @property
    def plane(self) -> Grid:
        """What is drawn of space: all of it, or of three axes the last two."""
        return self.space[-2:]

    def picture(self, field: Field, sample: int, frame: int | None = None) -> np.ndarray:
        """Values on `plane`; of a space of three axes, in the middle of the first."""
        values = self.values(field, sample, frame)
        return values[values.shape[0] // 2] if values.ndim == 3 else values

    def values(self, field: Field, sample: int, frame: int | None = None) -> np.ndarray:
        """One frame of a field that moves, or a field that does not: (*space)."""
        if frame is None:
            return self.file.read_field(field.name, sample)
        return self.file.read_field(field.name, sample, slice(frame, frame + 1))[0]

    def caption(self, sample: int) -> str:
        """The sample's number, and its inputs that are single numbers, such as a drawn viscosity."""
        values = (f"{name} = {float(self.file.read_field(name, sample).flat[0]):.3g}" for name in self.numbers)
        return ", ".join([f"sample {sample}", *values])


def select(file: DataFile, samples: int | Sequence[int] | None = None, field: str | None = None) -> Selection:
    """samples: so many from the first, or their numbers, or as many as fit (at most three); field: one field's name,
    or by default the targets that vary in time, and where nothing does all inputs and targets.

    Raises InputError on a field or a sample that the file has not, and on no or too many samples.
    """
    fields = _fields(file, field)
    moving = fields[0].time_varying
    if samples is None:
        samples = min(3, file.n, max(2, MOST_ROWS // len(fields)) if moving else 3)
    if isinstance(samples, int):
        if samples < 1:
            raise InputError(f"{samples} samples; wanted at least one")
        shown, averaged = tuple(range(min(samples, file.n))), tuple(range(min(MOST_AVERAGED, file.n)))
    else:
        shown = averaged = tuple(dict.fromkeys(samples))
    absent = [i for i in shown if not 0 <= i < file.n]
    if absent:
        raise InputError(f"there is no sample {absent[0]} in {file.path}: it holds samples 0 to {file.n - 1}")
    if len(shown) > MOST_SAMPLES:
        raise InputError(f"{len(shown)} samples are too many for one figure; choose at most {MOST_SAMPLES}")
    most = min(MOST_FIELDS, max(1, MOST_ROWS // len(shown))) if moving else MOST_STILLS
    numbers = tuple(x.name for x in file.spec.fields if moving and _is_number(file, x, shown))
    seen = {x.name for x in fields[:most]} | set(numbers)
    left_out = () if field else tuple(x.name for x in file.spec.fields if x.name not in seen)
    return Selection(file, shown, averaged, fields[:most], numbers, left_out)


def _is_number(file: DataFile, field: Field, samples: Sequence[int]) -> bool:
    if field.role == "target" or field.time_varying:
        return False
    return all(np.ptp(file.read_field(field.name, sample)) == 0 for sample in samples)


def _fields(file: DataFile, name: str | None) -> tuple[Field, ...]:
    fields = file.spec.fields
    if name is not None:
        chosen = tuple(x for x in fields if x.name == name)
        if not chosen:
            raise InputError(
                f"there is no field {name!r} in {file.path}. {did_you_mean(name, [x.name for x in fields])}"
            )
        return chosen
    return tuple(x for x in fields if x.role == "target" and x.time_varying) or fields
