"""Maps that act on the channels of every node alike: fields are channels-last, (B, *n, C)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Pointwise(nn.Linear):
    """v W^T + b, (B, *n, C_in) -> (B, *n, C_out), as one product per sample.

    The gradient of W is then a batch of products over the nodes of a sample, which BLAS spreads over threads; as one
    product over the nodes of all samples it took up to twice as long on two threads (tall factors, a small result).
    """

    def forward(self, v: Tensor) -> Tensor:
        return pointwise(v, self.weight, self.bias)


def pointwise(v: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`Pointwise` of these weights."""
    rows = v.flatten(1, -2)
    batch = weight.t().expand(rows.shape[0], -1, -1)
    y = torch.bmm(rows, batch) if bias is None else torch.baddbmm(bias, rows, batch)
    return y.view(*v.shape[:-1], weight.shape[0])


class GroupNorm(nn.GroupNorm):
    """Zero mean and unit variance per sample and group of channels, over all nodes; then a scale and a shift per
    channel.

    As many groups as channels are the instance norm. Source: Wu and He, ECCV 2018.
    """

    def forward(self, v: Tensor) -> Tensor:
        exact = v.float() if v.dtype.itemsize < 4 else v  # squares overflow in half precision
        grouped = exact.reshape(v.shape[0], -1, self.num_groups, self.num_channels // self.num_groups)
        variance, mean = self.moments(grouped)
        unit = (grouped - mean) * torch.rsqrt(variance + self.eps)
        return torch.addcmul(self.bias, unit.view(v.shape).to(v.dtype), self.weight)

    def moments(self, grouped: Tensor) -> tuple[Tensor, Tensor]:
        """Variance and mean over nodes and a group's channels, of (B, nodes, groups, C / groups): (B, 1, groups, 1)."""
        return torch.var_mean(grouped, dim=(1, 3), correction=0, keepdim=True)
