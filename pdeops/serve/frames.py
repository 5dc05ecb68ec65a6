"""A rollout as it is sent: frame by frame, so that memory does not grow with its length."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from math import prod

import numpy as np

from pdeops.serve.bodies import HDF5, LINES, NPY, finite, npy_header, write
from pdeops.serve.refusals import Refusal


def length(form: str, shape: tuple[int, ...], dtype: np.dtype) -> dict[str, str]:
    """The header that says how long the stream of frames (steps, B, C, *space) is, where that is known."""
    if form != NPY:
        return {}
    return {"content-length": str(len(npy_header(shape, dtype)) + prod(shape) * dtype.itemsize)}


async def stream(
    form: str, shape: tuple[int, ...], dtype: np.dtype, frames: AsyncIterator[np.ndarray], time_step: float
) -> AsyncIterator[bytes]:
    """Frames (B, C, *space) as one .npy file of `shape` (steps, B, C, *space), as one HDF5 file, which is made when all
    are there, or as lines of JSON: {"frame": 1, "time": ..., "output": [...]}, the last one perhaps an error."""
    if form == NPY:
        yield npy_header(shape, dtype)
        async for frame in frames:
            yield frame.tobytes()
    elif form == HDF5:
        yield write(HDF5, np.stack([frame async for frame in frames]), time_step=time_step)
    else:
        assert form == LINES
        i = 0
        try:
            async for frame in frames:
                i += 1
                values = finite(frame).tolist()
                yield json.dumps({"frame": i, "time": i * time_step, "output": values}).encode() + b"\n"
        except Refusal as refusal:
            yield refusal.body() + b"\n"
