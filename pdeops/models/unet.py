"""U-Net, and what it shares with models that have more on its levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn import unet
from pdeops.nn.coordinates import coordinates
from pdeops.nn.mlp import MLP
from pdeops.nn.on_grids import check_axes, check_growth, check_input, check_sizes, nodes_wanted
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.resample import INWARD, OUTWARD, THROUGH, resampled, told
from pdeops.nn.unet import Norm

Resolution = Literal["native", "resample"]
WAYS = {"native": "convolutions reach as many nodes, a shorter way than trained", "resample": THROUGH}


class UNet(nn.Module):
    """u = Q(trunk(P(a, x))), P linear, x the nodes' places scaled to [0, 1], the trunk a U-Net (`nn.unet`), Q a
    perceptron. One to three axes, any number of nodes.

    width: channels of the finest level, twice as many on each one below; levels: number of levels; projection: hidden
    width of Q; norm: "group", "instance" (both of each sample alone) or "batch".
    resolution: what is done with an `a` of other numbers of nodes than the model was built for. "resample": it is
    interpolated to the trained grid, and the output to the grid wanted (`nn.resample`), so that the operator stays the
    one that was trained, and no detail beyond its grid is seen or made; "native": the network runs on the nodes of `a`,
    where a convolution reaches as many nodes, a shorter way. `out`, another grid of the same axes: the output is
    interpolated to it.

    Raises InputError on sizes and names out of range and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 32,
        levels: int = 5,
        projection: int = 128,
        norm: Norm = "group",
        resolution: Resolution = "resample",
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        check_axes(type(self).__name__, grid_in, grid_out)
        check_growth(type(self).__name__, grid_in, grid_out)
        check_sizes(width=width, projection=projection)
        unet.check_levels(levels, grid_in.shape)
        if resolution not in get_args(Resolution):
            raise InputError(f"model.resolution={resolution!r}; wanted one of {get_args(Resolution)}")
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.levels, self.projection, self.norm, self.resolution = (
            width,
            levels,
            projection,
            norm,
            resolution,
        )
        self.lifting = Pointwise(in_channels + d, width)
        self.trunk = unet.UNet(d, width, levels, norm)
        self.head = MLP(width, projection, out_channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out)."""
        own = self.grid_in
        check_input(self, a)
        n_out = nodes_wanted(self, a.shape[2:], out)
        v = a.movedim(1, -1)
        if self.resolution == "resample":
            v = resampled(v, own, own.shape, INWARD)
        n = v.shape[1:-1]
        v = torch.cat([v, coordinates(own, n, a).movedim(0, -1).expand(a.shape[0], *n, -1)], -1)
        v = self.trunk(self.lifting(v).movedim(-1, 1)).movedim(1, -1)
        return resampled(self.head(v), own, n_out, OUTWARD).movedim(-1, 1)

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of an input of these sizes; None at the trained ones."""
        return told(self, n, WAYS)
