"""Predictions a few samples at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError, check_positive
from pdeops.inference.memory import fitting, out_of_memory, too_large
from pdeops.surrogate import Surrogate, Where

Array = TypeVar("Array", Tensor, np.ndarray)
Result = TypeVar("Result")


def in_batches(surrogate: Surrogate, a: Array, out: Where = None, *, batch_size: int | None = None) -> Array:
    """`surrogate.predict(a, out)`, batch_size samples at a time; None: as many as memory holds.

    `a` may be a memory map of a file larger than memory; the result is in memory, as `predict` gives it, of a tensor
    where the tensor is. Raises InputError as `predict` does, and if a batch does not fit.
    """
    if not isinstance(a, np.ndarray | Tensor) or not len(a):
        raise InputError("an array or a tensor of one sample or more is wanted")
    size = fitting(surrogate, a.shape[2:], out) if batch_size is None else batch_size

    def call(i: int, j: int) -> Array:
        of_each = isinstance(out, np.ndarray | Tensor) and out.ndim == 3  # points of each sample
        return surrogate.predict(a[i:j], out[i:j] if of_each else out)  # type: ignore[index]

    calls = over(len(a), size, call, fixed=batch_size is not None)
    parts = [part for _, part in calls]
    if isinstance(a, np.ndarray):
        return np.concatenate(parts)
    return torch.cat(parts)


def over(n: int, size: int, call: Callable[[int, int], Result], *, fixed: bool = False) -> Iterator[tuple[int, Result]]:
    """(i, call(i, j)) for ranges i:j of so many of 0 .. n. Where memory does not do, ranges are halved, for good,
    unless their size is `fixed`. Raises InputError if one does not fit then."""
    check_positive("inference", batch_size=size)
    first = 0
    while first < n:
        last = min(n, first + size)
        try:
            result = call(first, last)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if fixed or last - first == 1:
                raise too_large(last - first) from error
            size = (last - first) // 2
            continue
        yield first, result
        first = last
