"""Packing: a virtual file and its shards become one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock
from tqdm import tqdm

from pdeops.data.file import DataFile
from pdeops.data.schema import create
from pdeops.data.shards import belongs
from pdeops.data.virtual import readable, sources
from pdeops.errors import InputError
from pdeops.files import atomically


def pack(path: str | Path, out: str | Path | None = None) -> str:
    """Make a virtual file hold its values, bit for bit; what was done, in a sentence.

    out: where to; None: in place, and then the shards are removed once the packed file is there.
    Raises InputError, and leaves everything as it was, if `out` is there, if values are missing, or if the file
    is a virtual one that pdeops did not generate.
    """
    path, target = Path(path), Path(path if out is None else out)
    DataFile(path)  # before a lock is made beside what is no data file
    with FileLock(path.with_suffix(".lock")):
        file = DataFile(path)
        folders = sorted({path.parent / Path(name).parent for name in sources(file.handle)})
        if not folders and out is not None:
            raise InputError(f"{path} holds its values already: there is nothing to pack into {out}; copy the file")
        if not folders:
            return f"{path} holds its values already; nothing was done"
        if file.spec.problem is None:
            raise InputError(f"{path} is a virtual file that pdeops did not generate; it is left as it is")
        provenance = json.loads(file.handle["pdeops"].attrs["provenance"])
        try:
            with atomically(target, overwrite=out is None) as temporary, h5py.File(temporary, "w") as g:
                create(g, file.spec, file.n, file.handle["pdeops/split"][:], provenance)
                _copy(file, g)
        finally:
            file.close()
        done = f"{target}: {file.n} samples in one file of {target.stat().st_size / 2**20:.1f} MiB"
        removed = [str(folder) for folder in folders if out is None and _remove_shards(folder, provenance["recipe"])]
        return done + (f"; removed {', '.join(removed)}" if removed else "")


def _copy(file: DataFile, g: h5py.File) -> None:
    """The values of every field, and what `create` does not write."""
    for name, item in file.handle["pdeops"].items():
        if name not in g["pdeops"]:
            file.handle.copy(item, g["pdeops"])
    with tqdm(total=file.n * len(file.spec.fields), unit="sample", disable=None) as bar:
        for x in file.spec.fields:
            data = readable(file.handle[f"t0_fields/{x.name}"])
            for i in range(file.n):
                values = data[i]
                if not np.isfinite(values).all():
                    raise InputError(f"{file.path}: sample {i} holds NaN or infinite values; nothing was packed")
                g[f"t0_fields/{x.name}"][i] = values
                bar.update()


def _remove_shards(folder: Path, recipe: dict[str, Any]) -> bool:
    """Remove a folder of shards, if it is that of this recipe."""
    ours = belongs(folder, recipe)
    if ours:
        shutil.rmtree(folder)
    return ours
