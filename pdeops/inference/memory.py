"""How much memory a prediction takes, and how many samples fit at a time."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.surrogate import Surrogate, Where

LARGEST = 64  # samples at a time: more are no quicker
SHARE = 0.5  # of the memory that is free
REMEDY = "ask for fewer nodes or points, or take a machine or device with more memory"
CGROUP = Path("/sys/fs/cgroup")


def sample_bytes(surrogate: Surrogate, nodes: Sequence[int], out: Where = None) -> int:
    """The memory that a sample on so many nodes takes at its most, beside the weights: that of one on the trained
    lattice, measured, by the ratio of the nodes of the larger of input and output."""
    if isinstance(out, np.ndarray | torch.Tensor) and out.ndim < 2:
        raise InputError(f"got points of shape {tuple(out.shape)}; wanted (N, d), a row of coordinates each")
    window = surrogate.window
    weight = surrogate.normalize_in.mean
    with _Peak() as tracked:
        surrogate.predict(weight.new_zeros(1, window.in_channels, *window.grid_in.shape))
    trained = max(prod(window.grid_in.shape), prod(window.grid_out.shape))
    wanted = 0 if out is None else prod(out.shape) if isinstance(out, Grid) else out.shape[-2]
    scaled = prod(nodes) * prod(window.grid_out.shape) / prod(window.grid_in.shape)
    return round(tracked.peak * max(1.0, prod(nodes) / trained, scaled / trained, wanted / trained))


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still take on a device; of CPUs within the limits of its control group."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = []
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            free.append(1024 * int(line.split()[1]))
    limit, used = _lines(CGROUP / "memory.max"), _lines(CGROUP / "memory.current")
    if limit and used and limit[0].isdigit():
        free.append(int(limit[0]) - int(used[0]))
    return max(0, min(free, default=2**31))  # other systems: 2 GiB


def fitting(surrogate: Surrogate, nodes: Sequence[int], out: Where = None) -> int:
    """How many samples to predict at a time, at most `LARGEST`, in half of the memory that is free.

    Raises InputError if not even one fits into all of it.
    """
    each, free = sample_bytes(surrogate, nodes, out), free_bytes(surrogate.normalize_in.mean.device)
    if each > free:
        needs = f"about {each / 2**30:.3g} GiB, and {free / 2**30:.3g} GiB are free"
        raise InputError(f"one sample needs {needs}: {REMEDY}")
    return max(1, min(LARGEST, int(SHARE * free / max(1, each))))


def too_large(samples: int) -> InputError:
    """What to say of so many samples at a time."""
    if samples > 1:
        return InputError(f"a batch of {samples} samples does not fit into memory: take a smaller batch_size")
    return InputError(f"one sample does not fit into memory: {REMEDY}")


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what an exception says; torch has a kind of its own on GPUs alone."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


class _Peak(TorchDispatchMode):
    """Counts the bytes of tensors that are made within it and alive: `peak`, the most of them."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, Tensor) and (storage := x.untyped_storage()) not in self._seen:
                self._seen.add(storage)
                self._count(storage.nbytes())
                weakref.finalize(storage, self._count, -storage.nbytes())
        return result

    def _count(self, nbytes: int) -> None:
        self.live += nbytes
        self.peak = max(self.peak, self.live)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []
