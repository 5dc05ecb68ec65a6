"""Reading data files, ours and The Well's."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeops.config import from_config
from pdeops.data.schema import SCHEMA, SPLITS, Field, Spec, field_stats, split_codes, split_sizes
from pdeops.data.virtual import check_sources, readable
from pdeops.errors import InputError, did_you_mean, first_line
from pdeops.grid import Grid, Nodes, equally_spaced


class DataFile:
    """A data file: what it holds (`spec`, `n`, `split`, `stats`), and its values.

    The HDF5 handle is opened once per process, on first use, and never crosses a fork or a pickle.
    A file of The Well without our group is split by `fractions` in sample order; its fields that vary in
    time are targets, the others inputs, and vectors and tensors count as one field per component.
    Raises InputError if the file is missing, not HDF5, truncated, of another layout, or lacks one of its shards.
    """

    def __init__(self, path: str | Path, fractions: Sequence[float] = (0.8, 0.1, 0.1)) -> None:
        self.path = Path(path)
        self._fractions = fractions
        self._pid, self._handle = -1, None
        self._datasets: list[tuple[Any, tuple[int, ...]]] = []
        try:
            f = self.handle
            self.n = int(f.attrs["n_trajectories"])
            self.spec = _native_spec(f) if "pdeops" in f else _well_spec(f)
        except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
            if isinstance(error, InputError) and str(self.path) in str(error):
                raise
            raise InputError(
                f"{self.path} is not a data file that pdeops reads: {first_line(error)}. "
                "Files of other layouts are converted with: pdeops convert"
            ) from error
        finally:
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pid": -1, "_handle": None, "_datasets": []}

    @property
    def handle(self) -> h5py.File:
        if self._handle is None or self._pid != os.getpid():
            if not self.path.is_file():
                what = "is a folder" if self.path.is_dir() else "is not there"
                raise InputError(f"there is no data file {self.path}: it {what}")
            try:
                handle = h5py.File(self.path, "r")
            except OSError as error:
                raise InputError(
                    f"{self.path} cannot be read as HDF5 ({_reason(error)}). It is truncated, corrupted or of another "
                    "format. If pdeops generated it, delete it and it is made again; if not, see: pdeops convert --help"
                ) from error
            check_sources(handle)
            self._handle, self._pid, self._datasets = handle, os.getpid(), []
        return self._handle

    def close(self) -> None:
        if self._handle is not None and self._pid == os.getpid():
            self._handle.close()
        self._handle, self._datasets = None, []

    @cached_property
    def split(self) -> dict[str, np.ndarray]:
        """Sample indices of train, validation and test."""
        if "pdeops" in self.handle:
            codes = self.handle["pdeops/split"][:]
        else:
            codes = split_codes(split_sizes(self.n, self._fractions))
        return {name: np.flatnonzero(codes == code) for code, name in enumerate(SPLITS)}

    @cached_property
    def stats(self) -> dict[str, dict[str, float]]:
        """Statistics of each field over the training split; computed now where the file has none."""
        f = self.handle
        if "pdeops/stats" in f:
            return {x.name: {k: float(v[()]) for k, v in f[f"pdeops/stats/{x.name}"].items()} for x in self.spec.fields}
        train = np.isin(np.arange(self.n), self.split["train"])
        return {x.name: field_stats(_Component(*self._dataset(i)), x, train) for i, x in enumerate(self.spec.fields)}

    @property
    def targets(self) -> tuple[str, ...]:
        return self.spec.names("target")

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.spec.names("input", "static")

    def read_target(self, sample: int, frames: slice) -> np.ndarray:
        """Target fields (C, n_frames, *space) of one sample, or (C, *space) without a time axis."""
        return self._read("target", sample, frames)

    def read_input(self, sample: int) -> np.ndarray:
        """Given fields (C, *space) of one sample."""
        return self._read("input", sample, slice(None))

    def read_field(self, name: str, sample: int, frames: slice = slice(None)) -> np.ndarray:
        """One field of one sample: (n_frames, *space) if it varies in time, else (*space).

        Raises InputError if there is no such field.
        """
        names = [x.name for x in self.spec.fields]
        if name not in names:
            raise InputError(f"{self.path} has no field {name!r}. {did_you_mean(name, names)}")
        return self._read_one(names.index(name), sample, frames)

    def _read(self, which: str, sample: int, frames: slice) -> np.ndarray:
        fields = enumerate(self.spec.fields)
        parts = [self._read_one(i, sample, frames) for i, x in fields if (x.role == "target") == (which == "target")]
        if len(parts) == 1:
            return parts[0][None]
        return np.stack(parts) if parts else np.empty((0, *self.spec.grid.space.shape), np.float32)

    def _read_one(self, i: int, sample: int, frames: slice) -> np.ndarray:
        (data, component), x = self._dataset(i), self.spec.fields[i]
        key: tuple[Any, ...] = (sample,) if x.sample_varying else ()
        return data[(*key, *((frames,) if x.time_varying else ()), ..., *component)]

    def _dataset(self, i: int) -> tuple[Any, tuple[int, ...]]:
        f = self.handle
        if not self._datasets:
            by_name = _components(f)
            found = [by_name[x.name] for x in self.spec.fields]
            self._datasets = [(readable(data), component) for data, component in found]
        return self._datasets[i]


class _Component:
    """One component of a tensor dataset, indexed by sample as a scalar dataset is."""

    def __init__(self, data: Any, component: tuple[int, ...]) -> None:
        self.data, self.component = data, component

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.data[key][(..., *self.component)] if self.component else self.data[key]


def _components(f: h5py.File) -> dict[str, tuple[h5py.Dataset, tuple[int, ...]]]:
    """Every scalar component of every field: its dataset and its index there."""
    dims = list(f["dimensions"].attrs["spatial_dims"])
    found: dict[str, tuple[h5py.Dataset, tuple[int, ...]]] = {}
    for rank in range(3):
        for name in f[f"t{rank}_fields"].attrs["field_names"]:
            data = f[f"t{rank}_fields"][name]
            for index in np.ndindex(*(len(dims),) * rank):
                found["_".join([name, *(dims[i] for i in index)])] = (data, index)
    return found


def _native_spec(f: h5py.File) -> Spec:
    ours = f["pdeops"].attrs
    if ours["schema"] != SCHEMA:
        raise InputError(f"its schema is {ours['schema']!r}, and this pdeops reads {SCHEMA!r}")
    if f["pdeops/split"].shape != (int(f.attrs["n_trajectories"]),):
        raise InputError("/pdeops/split does not hold one code per sample")
    roles, units = json.loads(ours["roles"]), json.loads(ours["units"])
    fields = []
    for name, role in roles.items():
        flags = f[f"t0_fields/{name}"].attrs
        field = Field(name, role, bool(flags["time_varying"]), bool(flags["sample_varying"]), units[name])
        if field.sample_varying and len(f[f"t0_fields/{name}"]) != f.attrs["n_trajectories"]:
            raise InputError(f"field {name!r} does not hold n_trajectories={f.attrs['n_trajectories']} samples")
        if f"stats/{name}" not in f["pdeops"]:
            raise InputError(f"there are no statistics of field {name!r}")
        fields.append(field)
    parameters = {name: float(f.attrs[name]) for name in f.attrs["simulation_parameters"]}
    grid = from_config(json.loads(ours["axes"]))
    return Spec(str(f.attrs["dataset_name"]), grid, tuple(fields), parameters, json.loads(ours["problem"]))


def _well_spec(f: h5py.File) -> Spec:
    dims = list(f["dimensions"].attrs["spatial_dims"])
    kinds = {
        dim: str(group.attrs["bc_type"]).upper()
        for group in f["boundary_conditions"].values()
        for dim in group.attrs["associated_dims"]
    }
    if f.attrs["grid_type"] != "cartesian":
        raise InputError(f"a {f.attrs['grid_type']!r} grid; pdeops reads cartesian files of The Well")
    kind: dict[str, Nodes] = {dim: "periodic" if kinds.get(dim) == "PERIODIC" else "uniform" for dim in dims}
    axes = [equally_spaced(dim, f["dimensions"][dim][()].ravel(), kind[dim]) for dim in dims]
    all_times = np.atleast_2d(f["dimensions/time"][()])
    times = all_times[0]
    if np.ptp(all_times, axis=0).max() > 0:
        raise InputError("the samples have times of their own; pdeops reads files of The Well with one time axis")
    if len(times) > 1:
        axes.insert(0, equally_spaced("time", times, "uniform"))
    fields = []
    for name, (data, _) in _components(f).items():
        if not np.all(data.attrs["dim_varying"]):
            raise InputError(f"field {name!r} does not vary along every axis; pdeops does not read such fields")
        varies = bool(data.attrs["time_varying"]) and len(times) > 1
        role = "target" if varies or len(times) == 1 else "input"
        fields.append(Field(name, role, varies, bool(data.attrs["sample_varying"])))  # type: ignore[arg-type]
    return Spec(str(f.attrs["dataset_name"]), Grid(axes), tuple(fields))


def _reason(error: OSError) -> str:
    text = str(error)
    return text[text.rfind("(") + 1 :].rstrip(")") if "(" in text else text
