"""`python -m pdeops.serve.hdf5_child BYTES`: HDF5 in, .npy out, again and again, in a process that may die of it.

In: a length (8 bytes, little endian) and a file. Out: 1 or 0 (a byte), a length, and an .npy file or a sentence. BYTES:
that an array may have. Nothing is read but plain, contiguous or chunked values in the file itself.
"""

from __future__ import annotations

import io
import resource
import struct
import sys
from math import prod
from pathlib import Path

import h5py
import numpy as np

LENGTH = struct.Struct("<Q")
FILTERS = {"gzip", "lzf", "szip", None}


def values(body: bytes, most: int) -> np.ndarray:
    """The dataset "input", or the only one. Raises ValueError, in words, for whatever is wrong with it."""
    with h5py.File(io.BytesIO(body), "r") as f:
        names = [name for name in f if isinstance(f.get(name, getlink=True), h5py.HardLink)]
        if "input" not in names and len(names) != 1:
            raise ValueError("wanted a dataset named input")
        data = f["input" if "input" in names else names[0]]
        if not isinstance(data, h5py.Dataset):
            raise ValueError("input is a group; wanted a dataset")
        if data.is_virtual or data.external:
            raise ValueError("input lies in other files")
        if data.dtype.kind not in "biuf" or data.compression not in FILTERS or data.shape is None:
            raise ValueError(f"input holds {data.dtype}, compressed by {data.compression}; wanted real numbers")
        for shape in (data.shape, data.chunks or ()):
            if prod(shape) * data.dtype.itemsize > most:
                raise ValueError(f"input has {shape} values of {data.dtype}, more than {most} bytes")
        return data[()]


def serve(most: int) -> None:
    take, give = sys.stdin.buffer, sys.stdout.buffer
    while head := take.read(LENGTH.size):
        body = take.read(*LENGTH.unpack(head))
        try:
            file = io.BytesIO()
            np.save(file, values(body, most), allow_pickle=False)
            good, answer = b"\1", file.getvalue()
        except Exception as error:  # a damaged file's
            good, answer = b"\0", (str(error).splitlines() or ["damaged"])[0].encode()
        give.write(good + LENGTH.pack(len(answer)) + answer)
        give.flush()


def _confine(most: int) -> None:
    """Memory for a few times what is read, and no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        now = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**28 + 6 * most,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _confine(int(sys.argv[1]))
    serve(int(sys.argv[1]))
