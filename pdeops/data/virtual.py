"""Virtual files: fields that HDF5 reads from the shards beside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from pdeops.errors import InputError, first_line

AT_ONCE = 128  # shards that a reader keeps open


def sources(f: h5py.File) -> list[str]:
    """The files that the fields of `f` are read from, as they are named in it; none if it holds its values."""
    fields = (data for rank in range(3) for data in f.get(f"t{rank}_fields", {}).values())
    virtual = (data for data in fields if isinstance(data, h5py.Dataset) and data.is_virtual)
    return sorted({source.file_name for data in virtual for source in data.virtual_sources()} - {"."})


def check_sources(f: h5py.File) -> None:
    """Raises InputError, naming the first one, if a source file is missing: HDF5 would read its fill value."""
    path = Path(f.filename)
    for name in sources(f):
        if not (path.resolve().parent / name).is_file():
            raise InputError(f"{path} reads its fields from shards, and {name} is not there. {_remedy(path)}")


def readable(data: h5py.Dataset) -> Any:
    """A dataset to be indexed, also if it lies in more shards than files can be open."""
    return _Reopened(data) if data.is_virtual else data


class _Reopened:
    """A virtual dataset that is opened anew time and again: HDF5 keeps open every source that it has read from,
    half a megabyte each, and when the process may open no more files it reads the fill value."""

    def __init__(self, data: h5py.Dataset) -> None:
        self._file, self._name, self._reads = data.file, data.name, 0
        self._data: Any = None

    def __getitem__(self, key: Any) -> np.ndarray:
        if self._reads % AT_ONCE == 0:
            self._data = None  # closed before it is opened: two handles of one dataset share its sources
            self._data = self._file[self._name]
        self._reads += 1
        try:
            return self._data[key]
        except OSError as error:
            path = Path(self._file.filename)
            raise InputError(
                f"{path}: {_damaged(self._file)} cannot be read ({first_line(error)}). {_remedy(path)}"
            ) from error


def _damaged(f: h5py.File) -> str:
    folder = Path(f.filename).resolve().parent
    for name in sources(f):
        try:
            h5py.File(folder / name, "r").close()
        except OSError:
            return f"shard {name}"
    return "a shard"


def _remedy(path: Path) -> str:
    return (
        f"Bring it back beside the file, or delete it and {path.name}: the command that generated them then makes the "
        "missing shards again."
    )
