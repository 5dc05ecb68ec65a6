"""Which samples an epoch sees, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DistributedSampler

from pdeops.data.dataset import Windows


class Ordered(DistributedSampler[int]):
    """All samples in random order, drawn anew by (seed, epoch) alone; an epoch begins at place `first` of it."""

    first = 0

    def __iter__(self) -> Iterator[int]:
        return iter(list(super().__iter__())[self.first :])


class Drawn(Ordered):
    """`count` different windows of every trajectory, in random order, drawn anew by (seed, epoch) alone."""

    def __init__(self, dataset: Windows, count: int, **settings: Any) -> None:
        self.trajectories, self.starts = len(dataset.fields.samples), dataset.starts
        self.count = min(count, self.starts)
        super().__init__(range(self.trajectories * self.count), shuffle=True, **settings)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = range(self.trajectories)
        drawn = [
            row * self.starts + start
            for row in rows
            for start in torch.randperm(self.starts, generator=generator)[: self.count].tolist()
        ]
        return (drawn[i] for i in super().__iter__())


def spread(dataset: Windows, count: int) -> list[int]:
    """`count` windows of every trajectory, evenly spaced from its first to its last."""
    starts = torch.linspace(0, dataset.starts - 1, min(count, dataset.starts)).round().int().tolist()
    return [row * dataset.starts + start for row in range(len(dataset.fields.samples)) for start in starts]
