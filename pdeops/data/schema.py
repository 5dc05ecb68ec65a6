"""The layout of a data file: a strict superset of The Well's HDF5 format.

Ours adds the group `/pdeops`: attributes `schema`, `roles`, `units`, `axes`, `problem`, `provenance` (JSON
texts) and datasets `split` (0 train, 1 validation, 2 test), `seed`, `residual` and `error` per sample, and
`stats/<field>` with `mean`, `std`, `mean_delta`, `std_delta` over the training split.
Source: PolymathicAI/the_well, docs/data_format.md and scripts/check_thewell_formatting.py, release 1.2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import h5py
import numpy as np

from pdeops.config import to_config
from pdeops.data.moments import Moments
from pdeops.data.virtual import readable
from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.grid import Grid

SCHEMA = "1.0"
SPLITS = ("train", "validation", "test")
Role = Literal["input", "target", "static"]


@dataclass(frozen=True)
class Field:
    """A scalar field. role: "target" is predicted (if it varies in time, its history is also the input);
    "input" is given; "static" is given and describes the medium. Samples differ unless sample_varying is off."""

    name: str
    role: Role
    time_varying: bool = False
    sample_varying: bool = True
    units: str = "1"

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise InputError(f"field {self.name!r}: role={self.role!r}; wanted one of {get_args(Role)}")
        if not self.name or set(self.name) & set("[]/"):
            raise InputError(f"field name {self.name!r}: wanted a word without brackets and slashes")


@dataclass(frozen=True)
class Spec:
    """What a file holds: fields on a grid (time axis first, if any), and the problem that made them."""

    name: str
    grid: Grid
    fields: tuple[Field, ...]
    parameters: Mapping[str, float] = field(default_factory=dict)
    problem: dict[str, Any] | None = None

    def shape(self, f: Field, n: int) -> tuple[int, ...]:
        """The shape of a field's dataset for n samples."""
        time = (self.grid[0].n,) if f.time_varying and self.grid.time else ()
        return ((n,) if f.sample_varying else ()) + time + self.grid.space.shape

    def names(self, *roles: Role) -> tuple[str, ...]:
        return tuple(x.name for x in self.fields if x.role in roles)

    def nbytes(self, n: int) -> int:
        """Bytes of the fields of n samples, in float32."""
        return sum(4 * int(np.prod(self.shape(f, n))) for f in self.fields)


def split_sizes(n: int, fractions: Sequence[float]) -> tuple[int, int, int]:
    """(train, validation, test) counts that sum to n; contiguous blocks in sample order.

    fractions: of train, validation and test; they sum to 1. Every split with a positive fraction gets at
    least one sample. Raises InputError otherwise.
    """
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] == 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"split={list(fractions)}; wanted three fractions (train, validation, test), the first positive, "
            "that sum to 1"
        )
    validation, test = (max(1, round(n * f)) if f > 0 else 0 for f in fractions[1:])
    train = n - validation - test
    if train < 1:
        raise InputError(f"split={list(fractions)} leaves no training sample of {n}; more samples are needed")
    return train, validation, test


def split_codes(sizes: Sequence[int]) -> np.ndarray:
    """One code per sample, contiguous blocks of train (0), validation (1), test (2)."""
    return np.repeat(np.arange(3, dtype=np.int8), sizes)


def create(
    f: h5py.File,
    spec: Spec,
    n: int,
    split: np.ndarray,
    provenance: Mapping[str, Any],
    layouts: Mapping[str, h5py.VirtualLayout] | None = None,
) -> None:
    """Write everything but the values into an empty file; layouts: of fields whose values lie in other files."""
    space = spec.grid.space
    f.attrs["dataset_name"] = spec.name
    f.attrs["grid_type"] = "cartesian"
    f.attrs["n_spatial_dims"] = space.ndim
    f.attrs["n_trajectories"] = n
    f.attrs["simulation_parameters"] = _texts(spec.parameters)
    scalars = f.create_group("scalars")
    scalars.attrs["field_names"] = _texts(spec.parameters)
    for name, value in spec.parameters.items():
        f.attrs[name] = value
        _flagged(scalars, name, np.float64(value), time_varying=False)

    dimensions = f.create_group("dimensions")
    dimensions.attrs["spatial_dims"] = _texts(space.names)
    times = spec.grid[0].points().numpy() if spec.grid.time else np.zeros(1)
    _flagged(dimensions, "time", times, time_varying=True)
    for axis in space:
        _flagged(dimensions, axis.name, axis.points().numpy(), time_varying=False)

    boundaries = f.create_group("boundary_conditions")
    for axis in space:
        kind = {"periodic": "PERIODIC", "free": "OPEN"}.get(str(axis.bc), "WALL")
        group = boundaries.create_group(f"{axis.name}_{kind.lower()}")
        group.attrs["associated_dims"] = _texts([axis.name])
        group.attrs["associated_fields"] = _texts([])
        group.attrs["bc_type"] = kind
        group.attrs["sample_varying"] = group.attrs["time_varying"] = False
        mask = np.zeros(axis.n, dtype=bool)
        mask[[0, -1]] = True
        group["mask"] = mask

    for rank in range(3):
        group = f.create_group(f"t{rank}_fields")
        group.attrs["field_names"] = _texts([x.name for x in spec.fields] if rank == 0 else [])
    for x in spec.fields:
        if layouts is not None:
            # what cannot be read is NaN, which training and checking refuse, never a plausible zero
            data = f["t0_fields"].create_virtual_dataset(x.name, layouts[x.name], fillvalue=np.nan)
        else:
            shape = spec.shape(x, n)
            leading = len(shape) - space.ndim
            chunks = (1,) * leading + space.shape if leading else None
            data = f["t0_fields"].create_dataset(x.name, shape, dtype="f4", chunks=chunks)
        data.attrs["sample_varying"] = x.sample_varying
        data.attrs["time_varying"] = x.time_varying and spec.grid.time is not None
        data.attrs["dim_varying"] = np.ones(space.ndim, dtype=bool)

    ours = f.create_group("pdeops")
    ours.attrs["schema"] = SCHEMA
    ours.attrs["axes"] = json.dumps(to_config(spec.grid))
    ours.attrs["roles"] = json.dumps({x.name: x.role for x in spec.fields})
    ours.attrs["units"] = json.dumps({x.name: x.units for x in spec.fields})
    ours.attrs["problem"] = json.dumps(spec.problem)
    ours.attrs["provenance"] = json.dumps(dict(provenance))
    ours["split"] = split


def write_stats(path: Path, spec: Spec) -> None:
    """Mean and deviation of every field, and of its change between frames, over the training split.

    Raises InputError, naming the field and the sample, if any value of the file is not finite.
    """
    with h5py.File(path, "r") as f:  # a virtual file's shards are opened in the same mode
        train = f["pdeops/split"][:] == 0
        stats = {x.name: field_stats(readable(f[f"t0_fields/{x.name}"]), x, train) for x in spec.fields}
    with h5py.File(path, "r+") as f:
        for name, statistics in stats.items():
            group = f.require_group(f"pdeops/stats/{name}")
            for key, value in statistics.items():
                group[key] = value


def field_stats(data: h5py.Dataset, x: Field, train: np.ndarray) -> dict[str, float]:
    """mean, std and, for a field varying in time, mean_delta, std_delta; population deviations, float64."""
    moments = Moments(x.time_varying)
    for i in range(len(train) if x.sample_varying else 1):
        values = data[i] if x.sample_varying else data[()]
        if not np.isfinite(values).all():
            raise InputError(
                f"field {x.name!r} of sample {i} holds NaN or infinite values; nothing can be trained on it"
            )
        if train[i] or not x.sample_varying:
            moments.add(values)
    return moments.stats()


def _texts(names: Any) -> np.ndarray:
    return np.array(list(names), dtype=h5py.string_dtype())


def _flagged(group: h5py.Group, name: str, value: Any, *, time_varying: bool) -> None:
    data = group.create_dataset(name, data=value)
    data.attrs["sample_varying"] = False
    data.attrs["time_varying"] = time_varying


def write_arrays(
    path: str | Path,
    grid: Grid,
    *,
    inputs: Mapping[str, np.ndarray] | None = None,
    targets: Mapping[str, np.ndarray],
    split: Sequence[float] = (0.8, 0.1, 0.1),
    codes: Sequence[int] | np.ndarray | None = None,
    name: str = "arrays",
    parameters: Mapping[str, float] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Path:
    """Write NumPy arrays of one's own as a data file that `data=file data.file=PATH` trains on.

    grid: the grid of a sample, with a time axis first if the targets are trajectories.
    inputs: given fields, each (n, *space), or (*space) if all samples share it.
    targets: predicted fields, each (n, *grid.shape).
    split: fractions of train, validation and test, in sample order; codes: instead, one code (0 train,
    1 validation, 2 test) per sample.
    Raises InputError on arrays that do not fit, are not real numbers or not finite, and if the file is
    there and `overwrite` is not set; then nothing is written.
    """
    path, given = Path(path), {k: np.asarray(v) for k, v in (inputs or {}).items()}
    wanted = {k: np.asarray(v) for k, v in targets.items()}
    if not isinstance(grid, Grid) or not wanted or set(given) & set(wanted):
        raise InputError("wanted a Grid, at least one target, and no name both among inputs and targets")
    first = next(iter(wanted.values()))
    n = len(first) if first.ndim else 0
    fields = [Field(k, "input", sample_varying=v.ndim != grid.space.ndim) for k, v in given.items()]
    fields += [Field(k, "target", time_varying=grid.time is not None) for k in wanted]
    spec, arrays = Spec(name, grid, tuple(fields), parameters or {}), given | wanted
    for x in fields:
        array = arrays[x.name]
        if array.shape != spec.shape(x, n):
            raise InputError(
                f"array {x.name!r} has shape {array.shape}; wanted {spec.shape(x, n)}: "
                f"{n} samples on {grid if x.time_varying else grid.space}"
            )
        if array.dtype.kind not in "biuf":
            raise InputError(
                f"array {x.name!r} holds {array.dtype}; wanted real numbers (a complex field is two fields)"
            )
    marks = split_codes(split_sizes(n, split)) if codes is None else np.asarray(codes, dtype=np.int8)
    if len(marks) != n or not {0} <= set(marks.tolist()) <= {0, 1, 2}:
        raise InputError(
            f"{len(marks)} split codes {sorted(set(marks.tolist()))} for {n} samples; wanted 0, 1 or 2 each, some 0"
        )
    with atomically(path, overwrite=overwrite) as temporary:
        with h5py.File(temporary, "w") as f:
            create(f, spec, n, marks, provenance or {})
            for key, array in arrays.items():
                f[f"t0_fields/{key}"][...] = array
        write_stats(temporary, spec)
    return path
