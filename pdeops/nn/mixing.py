"""How the channels of each mode are mixed: one real or complex matrix per mode, whole, diagonal or factorised.

Coefficients are real, (B, parts, *kept, C), complex ones in two parts. Weights are real parameters as well, so that
optimisers, data-parallel training, half precision and checkpoints need nothing special.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pdeops.errors import InputError

Weights = Literal["dense", "separable", "tucker", "cp", "tt"]


def mixing(
    weights: Weights, stored: Sequence[int], in_channels: int, out_channels: int, parts: int, rank: float
) -> nn.Module:
    """The module that takes coefficients and the first of the stored modes per axis to mixed coefficients.

    weights: "dense", a matrix per mode; "separable", a factor per mode and channel; "tucker", "cp" or "tt", the dense
    tensor in factors of `rank` times its parameters. Real and imaginary parts initially have deviation
    (C_in + C_out)^(-1/2), neuraloperator's, real weights sqrt(2) times that. Raises InputError on another name, and on
    a rank or channels out of range.
    """
    deviation = (2 / parts / (in_channels + out_channels)) ** 0.5
    if weights == "dense":
        return Dense((*stored, in_channels, parts * out_channels), deviation)
    if weights == "separable":
        if in_channels != out_channels:
            raise InputError(f"separable weights keep the channels; got {in_channels} in and {out_channels} out")
        return Separable((*stored, parts * in_channels), parts, deviation)
    if weights not in get_args(Weights):
        raise InputError(f"weights={weights!r}; wanted one of {get_args(Weights)}")
    if not 0 < rank <= 1:
        raise InputError(f"rank={rank}: wanted a share of the dense parameters, 0 < rank <= 1")
    return Factorised((*stored, in_channels, parts * out_channels), deviation, weights, rank)


class Dense(nn.Module):
    """y(k) = R(k) z(k). tensor: (*modes, C_in, parts C_out), columns [Re | Im]."""

    def __init__(self, shape: Sequence[int], deviation: float) -> None:
        super().__init__()
        self.tensor = nn.Parameter(deviation * torch.randn(*shape))

    def forward(self, z: Tensor, first: Sequence[int]) -> Tensor:
        return _matrices(z, _narrow(self.tensor, z, first))


class Separable(nn.Module):
    """y_c(k) = r_c(k) z_c(k). tensor: (*modes, parts C), [Re | Im]."""

    def __init__(self, shape: Sequence[int], parts: int, deviation: float) -> None:
        super().__init__()
        self.parts = parts
        self.tensor = nn.Parameter(deviation * torch.randn(*shape))

    def forward(self, z: Tensor, first: Sequence[int]) -> Tensor:
        weight = _narrow(self.tensor, z, first)
        if self.parts == 1:
            return z * weight
        re, im = weight.chunk(2, dim=-1)
        return torch.stack([z[:, 0] * re - z[:, 1] * im, z[:, 0] * im + z[:, 1] * re], dim=1)


class Factorised(nn.Module):
    """`Dense` with its tensor in factors (tensorly-torch's), which are multiplied out in every call."""

    def __init__(self, shape: Sequence[int], deviation: float, factorisation: str, rank: float) -> None:
        super().__init__()
        from tltorch import FactorizedTensor  # seconds to import: only when one is built

        self.tensor = FactorizedTensor.new(tuple(shape), rank=rank, factorization=factorisation)
        with torch.no_grad():
            self.tensor.normal_(0, deviation)
            # tensorly-torch's initialisation misses the deviation, by up to a factor of 100
            first = next(self.tensor.parameters())
            first.mul_(deviation / self.tensor.to_tensor().std())

    def forward(self, z: Tensor, first: Sequence[int]) -> Tensor:
        return _matrices(z, _narrow(self.tensor.to_tensor(), z, first))


def _narrow(weight: Tensor, z: Tensor, first: Sequence[int]) -> Tensor:
    """The weights of the modes that z has."""
    for axis, (start, kept) in enumerate(zip(first, z.shape[2:-1], strict=True)):
        if kept < weight.shape[axis]:
            weight = weight.narrow(axis, start, kept)
    return weight


def _matrices(z: Tensor, weight: Tensor) -> Tensor:
    """One batched GEMM over the modes; batch and parts are its rows."""
    batch, parts, *kept, c_in = z.shape
    rows = z.reshape(batch * parts, -1, c_in).transpose(0, 1)
    product = torch.bmm(rows, weight.reshape(rows.shape[0], c_in, -1))
    if parts == 1:
        return product.transpose(0, 1).reshape(batch, 1, *kept, -1)
    # (mode, batch, part of z and part of R, channel); the gradient of one unbind is one copy
    rr, ri, ir, ii = product.view(rows.shape[0], batch, 4, -1).unbind(2)
    return torch.stack([rr - ii, ri + ir], dim=1).permute(2, 1, 0, 3).reshape(batch, 2, *kept, -1)
