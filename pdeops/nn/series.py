"""Trigonometric series of a field's values, channel by channel."""

from __future__ import annotations

from collections.abc import Iterator
from math import pi
from typing import Any

import torch
from torch import Tensor


class Series(torch.autograd.Function):
    """z + sum_(m=1)^(M-1) w_(m-1) sin(m a) + sum_(m=0)^(M-1) w_(M-1+m) cos(m a), a = pi z / M.

    z (..., C), w (2 M - 1, C). One sine and one cosine per value; the others follow by the theorems of addition, again
    in the backward pass, for which only z is kept.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(z: Tensor, w: Tensor) -> Tensor:
        m = (len(w) + 1) // 2
        y = z + w[m - 1]
        for i, (sine, cosine) in enumerate(_waves(z, m)):
            y = y.addcmul(sine, w[i]).addcmul(cosine, w[m + i])
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        z, w = ctx.saved_tensors
        m = (len(w) + 1) // 2
        channels = z.shape[-1]
        slope, rows = torch.ones_like(z), dy.reshape(-1, channels)  # no flatten: gradients may be batched
        sines, cosines = [], [rows.sum(0)]
        for i, (sine, cosine) in enumerate(_waves(z, m)):
            rate = pi * (i + 1) / m
            slope = slope.addcmul(cosine, rate * w[i]).addcmul(sine, -rate * w[m + i])
            sines.append((rows * sine.reshape(-1, channels)).sum(0))
            cosines.append((rows * cosine.reshape(-1, channels)).sum(0))
        return dy * slope, torch.stack(sines + cosines)


def _waves(z: Tensor, m: int) -> Iterator[tuple[Tensor, Tensor]]:
    """sin and cos of pi i z / m, i = 1 .. m - 1."""
    sine, cosine = torch.sin(pi / m * z), torch.cos(pi / m * z)
    s, c = sine, cosine
    for i in range(1, m):
        yield s, c
        if i < m - 1:
            s, c = s * cosine + c * sine, c * cosine - s * sine
