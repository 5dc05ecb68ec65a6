"""A limit to what the code within may make: for what follows a description that anybody may have written."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from pdeops.errors import InputError

WIDEST = 16  # bytes of a number


class Allowance(TorchDispatchMode):
    """Refuses, before it is made, the tensor with which all that were made within would hold more than so many bytes,
    and the operation after so many.

    with Allowance(limit, operations): ...
    What may be too large, by the sizes and numbers that go into an operation, is tried without values first. Raises
    InputError.
    """

    def __init__(self, limit: int, operations: int) -> None:
        super().__init__()
        self.limit, self.operations = limit, operations
        self._bytes = self._done = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled within; to say so to the compiler would take a second to load it."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self._done += 1
        if self._done > self.operations:
            raise InputError(f"more than {self.operations:,} operations to build it")
        if func._schema.is_mutable:  # makes nothing
            return func(*args, **kwargs)
        if self._bytes + WIDEST * _most(func, (args, kwargs)) > self.limit:
            self._check(_foreseen(func, args, kwargs))
        made = func(*args, **kwargs)
        self._bytes += _bytes(made)
        self._check(0)
        return made

    def _check(self, more: int) -> None:
        if self._bytes + more > self.limit:
            raise InputError(f"more than {self.limit / 2**20:,.0f} MiB to build it")


def _bytes(found: Any) -> int:
    return sum(x.numel() * x.element_size() for x in tree_leaves(found) if isinstance(x, Tensor))


def _foreseen(func: Any, args: Any, kwargs: Any) -> int:
    """Bytes of what an operation would make: by the size that it is told, by the inputs of a pointwise one, or by
    trying it without values, for which torch loads a good deal the first time."""
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args, strict=False)) | kwargs
    if "size" in given:
        return prod(max(0, n) for n in given["size"]) * (given.get("dtype") or torch.float32).itemsize
    if torch.Tag.pointwise in func.tags:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        return prod(np.broadcast_shapes(*(x.shape for x in tensors))) * max(x.element_size() for x in tensors)
    nowhere = {"device": torch.device("meta")} if "device" in names else {}
    return _bytes(func(*tree_map(_hollow, args), **tree_map(_hollow, kwargs) | nowhere))


def _most(func: Any, given: Any) -> int:
    """A bound of the numbers in what an operation makes: the product of all sizes that it knows of."""
    leaves = tree_leaves(given)
    sizes = [x.numel() for x in leaves if isinstance(x, Tensor)] + [abs(x) for x in leaves if type(x) is int]
    return prod(max(1, size) for size in sizes) ** (2 if "eye" in func.name() else 1)


def _hollow(x: Any) -> Any:
    return torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device="meta") if isinstance(x, Tensor) else x
