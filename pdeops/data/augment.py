"""Samples that a symmetry makes of others."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pdeops.data.file import DataFile
from pdeops.errors import InputError
from pdeops.problems.base import Problem
from pdeops.window import Batch


def transposed(batch: Batch, which: Tensor) -> Batch:
    """The batch with the two space axes of some samples swapped; which: (B), of truth values."""

    def swapped(x: Tensor) -> Tensor:
        return torch.where(which.view(-1, *(1,) * (x.ndim - 1)), x.transpose(-1, -2), x)

    return batch._replace(a=swapped(batch.a), u=None if batch.u is None else swapped(batch.u))


def check_symmetry(source: DataFile, problem: Problem | None) -> None:
    space = source.spec.grid.space
    if space.ndim != 2 or replace(space[1], name=space[0].name) != space[0]:
        raise InputError(f"data.augment_transpose swaps two space axes that must be alike; {source.path} has {space}")
    if problem is not None and not problem.symmetric:
        raise InputError(f"data.augment_transpose: {problem.name} is not symmetric under x <-> y")
