"""One-way converters into the native format: neuraloperator `.pt`, FNO `.mat`, PDEBench `.hdf5`."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import scipy.io
import torch
from scipy.io.matlab import MatReadError

from pdeops.data.schema import split_codes, split_sizes, write_arrays
from pdeops.errors import InputError, first_line
from pdeops.grid import Axis, Grid, Nodes, axis_names, equally_spaced

# what readers of damaged or foreign files raise (a version that scipy does not read is a RuntimeError)
DAMAGE = (OSError, EOFError, LookupError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError, MatReadError)
SUFFIXES = {".pt": "neuraloperator", ".mat": "FNO benchmark", ".hdf5": "PDEBench", ".h5": "PDEBench"}


class Arrays(NamedTuple):
    """Fields by name, sample first, time second where they vary in time, and the grid of a sample."""

    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    grid: Grid
    parameters: dict[str, float]


def convert(
    source: str | Path,
    out: str | Path,
    *,
    test: str | Path | None = None,
    split: Sequence[float] = (0.8, 0.1, 0.1),
    name: str | None = None,
    nodes: Nodes | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a published data set as a native file.

    source: `.pt` (a dictionary x, y), `.mat` (version 5 or 7.3; coeff and sol, or a and u), `.hdf5` (PDEBench).
    test: a second file of the same kind: its samples become the test split, and `source` alone is divided
    into training and validation, in the proportion that `split` gives these two.
    nodes: where the samples of the spatial axes sit, if the format's own convention is not meant.
    Raises InputError on unknown layouts, files that do not fit together, and an `out` that is there already
    (unless `overwrite` is set); then nothing is written.
    """
    source, out = Path(source), Path(out)
    if out.resolve() in {Path(p).resolve() for p in (source, test) if p is not None}:
        raise InputError(f"{out} is a file to be converted; choose another name for the result")
    arrays = read(source, nodes)
    n = len(next(iter(arrays.targets.values())))
    codes = split_codes(split_sizes(n, split))
    provenance = {"source": source.name, "rule": f"contiguous blocks {list(split)} of the source, in its order"}
    if test is not None:
        other = read(Path(test), nodes)
        if other.grid != arrays.grid or set(other.targets) != set(arrays.targets):
            raise InputError(
                f"{source.name} is on {arrays.grid}, {Path(test).name} on {other.grid}: they do not fit together"
            )
        arrays = Arrays(
            {k: np.concatenate([v, other.inputs[k]]) for k, v in arrays.inputs.items()},
            {k: np.concatenate([v, other.targets[k]]) for k, v in arrays.targets.items()},
            arrays.grid,
            arrays.parameters,
        )
        known = split[0] + split[1]
        train, validation, _ = split_sizes(n, (split[0] / known, split[1] / known, 0))
        codes = split_codes((train, validation, len(next(iter(other.targets.values())))))
        provenance |= {
            "test": Path(test).name,
            "rule": f"first {train} train, next {validation} validation, test file: test",
        }
    return write_arrays(
        out,
        arrays.grid,
        inputs=arrays.inputs,
        targets=arrays.targets,
        codes=codes,
        overwrite=overwrite,
        name=name or source.stem,
        parameters=arrays.parameters,
        provenance=provenance,
    )


def read(path: Path, nodes: Nodes | None = None) -> Arrays:
    """The arrays of a published file. Raises InputError if it is missing, damaged or of no known layout."""
    if not path.exists():
        raise InputError(f"there is no file {path}")
    try:
        match path.suffix.lower():
            case ".pt":
                return _neuralop(path, nodes)
            case ".mat":
                return _mat(path, nodes)
            case ".hdf5" | ".h5":
                return _pdebench(path, nodes)
    except DAMAGE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read: {first_line(error)}. It is damaged or of another format.") from error
    known = ", ".join(f"{suffix} ({kind})" for suffix, kind in SUFFIXES.items())
    raise InputError(f"{path}: unknown suffix {path.suffix!r}; wanted one of {known}")


def _neuralop(path: Path, nodes: Nodes | None) -> Arrays:
    """{x (n, *space), y (n, *space)}, or y (n, time, *space) with y[:, 0] = x on a periodic axis."""
    data = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(data, dict) or not {"x", "y"} <= set(data):
        raise InputError(f"{path}: wanted a dictionary with x and y")
    x, y = (np.asarray(data[key]) for key in "xy")
    if x.ndim == y.ndim >= 4 and x.shape[1] == y.shape[1] == 1:  # a channel axis of one
        x, y = x[:, 0], y[:, 0]
    parameters = {k: float(v) for k, v in data.items() if k == "visc" and np.size(v) == 1}
    if y.ndim == x.ndim + 1:
        grid = _space(y.shape[2:], nodes or "periodic")
        time = Axis("time", y.shape[1], 1.0, "uniform")
        return Arrays({}, {"u": y}, Grid((time, *grid)), parameters)
    return Arrays({"a": x}, {"u": y}, _space(x.shape[1:], nodes or "left"), parameters)


def _mat(path: Path, nodes: Nodes | None) -> Arrays:
    """coeff, sol on nodes with both end points; a (n, x), u (n, x); or u (n, x, y, time) and t."""
    try:
        data = {k: np.asarray(v) for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
    except NotImplementedError:  # version 7.3 is HDF5, in Fortran's axis order
        with h5py.File(path, "r") as f:
            data = {k: np.transpose(v[()]) for k, v in f.items() if isinstance(v, h5py.Dataset)}
    if {"coeff", "sol"} <= set(data):
        return Arrays({"a": data["coeff"]}, {"u": data["sol"]}, _space(data["sol"].shape[1:], nodes or "uniform"), {})
    if "u" in data and data["u"].ndim == 4 and "t" in data:
        times = data["t"].ravel()
        grid = Grid((_time(times), *_space(data["u"].shape[1:3], nodes or "periodic")))
        return Arrays({}, {"vorticity": np.moveaxis(data["u"], -1, 1)}, grid, {})
    if {"a", "u"} <= set(data) and data["a"].shape == data["u"].shape:
        return Arrays({"a": data["a"]}, {"u": data["u"]}, _space(data["a"].shape[1:], nodes or "periodic"), {})
    shapes = {k: v.shape for k, v in data.items()}
    raise InputError(f"{path} holds {shapes}; wanted coeff and sol, a and u of one shape, or u (n, x, y, time) and t")


def _pdebench(path: Path, nodes: Nodes | None) -> Arrays:
    """tensor (n, time, x), nu and tensor (n, 1, x, y), named fields (n, time, *space), or a group per sample."""
    with h5py.File(path, "r") as f:
        spatial = [k for k in ("x-coordinate", "y-coordinate", "z-coordinate") if k in f]
        if "tensor" in f and "nu" in f:
            space = _from_points([f[k][()] for k in spatial], nodes)
            return Arrays({"a": f["nu"][()]}, {"u": f["tensor"][:, 0]}, space, _scalars(f))
        if "t-coordinate" in f:
            names = ["tensor"] if "tensor" in f else [k for k in ("Vx", "Vy", "Vz", "density", "pressure") if k in f]
            n_times = f[names[0]].shape[1]
            grid = Grid(
                (_time(f["t-coordinate"][:n_times]), *_from_points([f[k][()] for k in spatial], nodes or "periodic"))
            )
            return Arrays({}, {"u" if k == "tensor" else k: f[k][()] for k in names}, grid, _scalars(f))
        groups = sorted(k for k, v in f.items() if isinstance(v, h5py.Group) and "data" in v)
        if groups:
            u = np.stack([f[k]["data"][()] for k in groups])
            coordinates = f[groups[0]]["grid"]
            space = _from_points([coordinates[k][()] for k in ("x", "y", "z") if k in coordinates], nodes)
            fields = {f"u{c}" if u.shape[-1] > 1 else "u": u[..., c] for c in range(u.shape[-1])}
            return Arrays({}, fields, Grid((_time(coordinates["t"][()]), *space)), {})
        raise InputError(
            f"{path} holds {sorted(f)}; wanted tensor, tensor and nu, Vx, Vy ..., or groups with data and grid"
        )


def _scalars(f: h5py.File) -> dict[str, float]:
    """The PDE's parameters, which PDEBench keeps as root attributes."""
    return {k: float(v) for k, v in f.attrs.items() if np.ndim(v) == 0 and not isinstance(v, str | bytes)}


def _space(shape: Sequence[int], nodes: Nodes) -> Grid:
    return Grid(Axis(name, n, 1.0, nodes) for name, n in zip(axis_names(len(shape)), shape, strict=True))


def _time(times: np.ndarray) -> Axis:
    return equally_spaced("time", times.ravel().tolist(), "uniform")


def _from_points(points: list[np.ndarray], nodes: Nodes | None) -> Grid:
    """Axes from coordinates of cell centres (PDEBench's convention), or of another kind of nodes."""
    names = axis_names(len(points))
    return Grid(
        equally_spaced(name, x.ravel().tolist(), nodes or "cell") for name, x in zip(names, points, strict=True)
    )
