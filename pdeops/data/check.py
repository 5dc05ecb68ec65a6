"""Checking a data file: The Well's format rules, our own, and the values."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from pdeops.data.file import DataFile


def check_file(path: str | Path) -> list[str]:
    """Every fault of a data file, one sentence each; empty if there is none.

    Raises InputError if the file cannot be opened as a data file at all.
    """
    file = DataFile(path)
    f = file.handle
    try:
        faults = _well_faults(f) + (_native_faults(f, file) if "pdeops" in f else [])
        return faults or _value_faults(file)  # values are read only through a sound layout
    finally:
        file.close()


def _well_faults(f: h5py.File) -> list[str]:
    """The rules of The Well's own checker."""
    faults = [
        f"no root attribute {k!r}" for k in ("dataset_name", "grid_type", "simulation_parameters") if k not in f.attrs
    ]
    dims = list(f["dimensions"].attrs["spatial_dims"])
    if len(dims) != f.attrs["n_spatial_dims"]:
        faults.append(f"n_spatial_dims is {f.attrs['n_spatial_dims']}, but spatial_dims names {dims}")
    for name in f.attrs.get("simulation_parameters", []):
        if name not in f.attrs or name not in f.get("scalars", {}):
            faults.append(f"simulation parameter {name!r} is not both a root attribute and in /scalars")
    for group in ("dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields"):
        if group not in f:
            faults.append(f"no group /{group}")
    n, frames = int(f.attrs["n_trajectories"]), f["dimensions/time"].shape[-1]
    for rank in range(3):
        group = f.get(f"t{rank}_fields", {})
        for name in group.attrs["field_names"] if group else []:
            if name not in group:
                faults.append(f"field {name!r} is announced but missing in /t{rank}_fields")
                continue
            flags = group[name].attrs
            if not {"sample_varying", "time_varying", "dim_varying"} <= set(flags):
                faults.append(f"field {name!r} lacks one of the flags sample_varying, time_varying, dim_varying")
                continue
            expected = ((n,) if flags["sample_varying"] else ()) + ((frames,) if flags["time_varying"] else ())
            varying = zip(dims, flags["dim_varying"], strict=True)
            expected += tuple(f["dimensions"][d].shape[-1] for d, varies in varying if varies) + (len(dims),) * rank
            if group[name].shape != expected:
                faults.append(f"field {name!r} has shape {group[name].shape}, expected {expected}")
    return faults


def _native_faults(f: h5py.File, file: DataFile) -> list[str]:
    faults = []
    ours = f["pdeops"]
    grid = file.spec.grid.space
    for axis in grid:
        if not np.allclose(f["dimensions"][axis.name][()], axis.points().numpy()):
            faults.append(f"the coordinates of axis {axis.name!r} are not those of its description")
    if not set(np.unique(ours["split"])) <= {0, 1, 2}:
        faults.append("/pdeops/split is not one code (0, 1, 2) per sample")
    return faults


def _value_faults(file: DataFile) -> list[str]:
    faults = []
    for i in range(file.n):
        for values in (file.read_target(i, slice(None)), file.read_input(i)):
            if not np.isfinite(values).all():
                faults.append(f"sample {i} holds NaN or infinite values")
                break
    return faults
