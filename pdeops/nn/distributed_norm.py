"""The norm of a field that is dealt over several processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from pdeops.nn.distributed import summed
from pdeops.nn.pointwise import GroupNorm


class DistributedGroupNorm(GroupNorm):
    """`GroupNorm` over the nodes of all processes; each has its own, (B, n_p, *n, C), however many.

    norm: whose scale and shift it takes over. What is sent are three numbers per sample and group, each way.
    """

    def __init__(self, norm: GroupNorm, mesh: DeviceMesh) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps)
        self.weight, self.bias, self.mesh = norm.weight, norm.bias, mesh

    def moments(self, grouped: Tensor) -> tuple[Tensor, Tensor]:
        """First the mean, then the squares of deviations from it: their difference would lose digits."""
        here = torch.stack([grouped.sum((1, 3)), grouped.new_full(grouped.shape[::2], _count(grouped))])
        total, count = summed(here, self.mesh)[..., None, :, None].unbind()
        mean = total / count
        squares = (grouped - mean).square().sum((1, 3), keepdim=True)
        return summed(squares, self.mesh) / count, mean


def _count(grouped: Tensor) -> int:
    _, nodes, _, channels = grouped.shape
    return nodes * channels
