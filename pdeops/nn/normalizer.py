"""Affine normalisation per channel, as buffers."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from pdeops.errors import InputError


class Normalizer(nn.Module):
    """x -> (x - mean) / std per channel of (B, C, ...); a channel that never varies has std 1.

    Raises InputError on statistics that are not finite.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        if not (mean.isfinite().all() and std.isfinite().all()):
            raise InputError("the data's statistics are not finite: a field holds NaN or infinite values")
        self.register_buffer("mean", mean.float())
        std = std.float()
        self.register_buffer("std", torch.where(std > 0, std, torch.ones_like(std)))

    @classmethod
    def identity(cls, channels: int) -> Self:
        return cls(torch.zeros(channels), torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self._like(self.mean, x)) / self._like(self.std, x)

    def inverse(self, x: Tensor) -> Tensor:
        return x * self._like(self.std, x) + self._like(self.mean, x)

    @staticmethod
    def _like(buffer: Tensor, x: Tensor) -> Tensor:
        return buffer.view(-1, *(1,) * (x.ndim - 2))
