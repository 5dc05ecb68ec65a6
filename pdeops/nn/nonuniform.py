"""Fourier coefficients of fields at scattered points, and their values there, in memory that grows with neither: a
few points at a time, whose exponentials are formed anew in the backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import pi
from typing import Any

import torch
from torch import Tensor

from pdeops.watched import watched

ENTRIES = 2**22  # of the table of exponentials that is held at a time


def analyse(v: Tensor, x: Tensor, measure: Tensor, modes: Sequence[int]) -> Tensor:
    """c_f = sum_n w_n v_n exp(-2 pi i f . x_n): (B, N, C) -> (B, 2, *kept, C), real and imaginary parts.

    x: (B, N, d) or (1, N, d), of period 1; measure: w, (B, N) or (N), as `Points.measure`. Kept are of `modes` k the
    frequencies -floor(k/2) .. k - floor(k/2) - 1, and 0 .. floor(k/2) of the last axis, as a half Fourier axis of
    `spectral_conv.Transform` has them, whose coefficients these are on a lattice. Places, tables and sums are in single
    precision at least, also under autocast.
    """
    x = x.to(torch.promote_types(v.dtype, torch.float32))
    z = _to_modes(v.to(x.dtype) * measure.to(x).unsqueeze(-1), x, frequencies(modes, x))
    return z.view(v.shape[0], 2, *kept(modes), v.shape[-1]).to(v.dtype)


def synthesise(z: Tensor, x: Tensor, modes: Sequence[int]) -> Tensor:
    """v_n = sum_f c_f exp(2 pi i f . x_n), over both signs of the last axis, the real part: (B, 2, *kept, C) ->
    (B, N, C). In single precision at least, as `analyse`."""
    x = x.to(torch.promote_types(z.dtype, torch.float32))
    f = frequencies(modes, x)
    both = torch.where(f[-1] == 0, 1.0, 2.0).to(x).unsqueeze(-1)
    flat = z.flatten(2, -2).to(x.dtype) * both
    return _to_points(flat, x, f).to(z.dtype)


def kept(modes: Sequence[int]) -> tuple[int, ...]:
    return *modes[:-1], modes[-1] // 2 + 1


def frequencies(modes: Sequence[int], like: Tensor) -> Tensor:
    """(d, K): the kept ones, the last axis running fastest."""
    lines = [torch.arange(-(k // 2), k - k // 2) for k in modes[:-1]] + [torch.arange(modes[-1] // 2 + 1)]
    return torch.stack(torch.meshgrid(*lines, indexing="ij")).flatten(1).to(like)


def _table(x: Tensor, f: Tensor) -> Tensor:
    """(B, n, 2 K): cos and -sin of 2 pi f . x."""
    angles = 2 * pi * (x @ f)
    return torch.cat([angles.cos(), -angles.sin()], -1)


def _parts(x: Tensor, batch: int, f: Tensor) -> list[slice]:
    length = max(1, ENTRIES // (2 * f.shape[1] * max(1, batch)))
    return [slice(i, i + length) for i in range(0, x.shape[1], length)]


def _as_given(like: Tensor) -> AbstractContextManager[None]:
    """No autocast."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _to_modes(v: Tensor, x: Tensor, f: Tensor) -> Tensor:
    with _as_given(v):
        if watched():
            return (_table(x, f).mT @ v).unflatten(1, (2, -1))
        return _ToModes.apply(v, x, f)


def _to_points(z: Tensor, x: Tensor, f: Tensor) -> Tensor:
    with _as_given(z):
        if watched():
            return _table(x, f) @ z.flatten(1, 2)
        return _ToPoints.apply(z, x, f)


def _turned(z: Tensor, f: Tensor) -> Tensor:
    """The coefficients of the derivatives along each axis, (B, 2, K, C) -> (B, 2, K, d C)."""
    re, im = z.unbind(1)
    return torch.cat([torch.stack([-k * im, k * re], 1) for k in 2 * pi * f.unsqueeze(-1)], -1)


def _slope(v: Tensor, z: Tensor, x: Tensor, f: Tensor) -> Tensor:
    """sum_c v_nc d(T z)_nc / dx_n, in the shape of x."""
    slopes = _to_points(_turned(z, f), x, f)
    dx = (slopes.unflatten(-1, (len(f), -1)) * v.unsqueeze(-2)).sum(-1)
    return dx if len(x) == len(dx) else dx.sum(0, keepdim=True)


class _ToModes(torch.autograd.Function):
    """T^T v: (B, N, C) -> (B, 2, K, C), T the table of the points x (B or 1, N, d)."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, x: Tensor, f: Tensor) -> Tensor:
        ctx.save_for_backward(v, x, f)
        z = v.new_zeros(len(v), 2 * f.shape[1], v.shape[-1])
        for part in _parts(x, len(v), f):
            z += _table(x[:, part], f).mT @ v[:, part]
        return z.unflatten(1, (2, -1))

    @staticmethod
    def backward(ctx: Any, dz: Tensor) -> tuple[Tensor | None, ...]:
        v, x, f = ctx.saved_tensors
        dv = _to_points(dz, x, f) if ctx.needs_input_grad[0] else None
        return dv, _slope(v, dz, x, f) if ctx.needs_input_grad[1] else None, None


class _ToPoints(torch.autograd.Function):
    """T z: (B, 2, K, C) -> (B, N, C)."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, x: Tensor, f: Tensor) -> Tensor:
        ctx.save_for_backward(z, x, f)
        flat = z.flatten(1, 2)
        parts = [_table(x[:, part], f) @ flat for part in _parts(x, len(z), f)]
        return torch.cat(parts, 1)

    @staticmethod
    def backward(ctx: Any, dv: Tensor) -> tuple[Tensor | None, ...]:
        z, x, f = ctx.saved_tensors
        dz = _to_modes(dv, x, f) if ctx.needs_input_grad[0] else None
        return dz, _slope(dv, z, x, f) if ctx.needs_input_grad[1] else None, None
