"""Spectral neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.coefficients import (
    CoefficientNetwork,
    Dense,
    Nodes,
    checked_modes,
    features,
    features_of,
    published_series,
)
from pdeops.nn.on_grids import check_axes, check_sizes
from pdeops.nn.on_lattice import finer, lattice_of, output

MOST = 2**31  # weights of the maps between modes, 8 GiB


class SNO(nn.Module):
    """Coefficients to coefficients, the activation acting on them: z_{l+1} = relu(W A z_l + b), A a dense map of all
    modes with a bias, shared by channels, W a map of channels.

    The trunk of `NSMPublished`, as its authors compare with it. `out` and `collocation`: as `NSM`; conditions at walls
    are the problem's.

    width, depth; modes: per axis, one for all or one each; A has prod(modes)^2 weights; scale: of the output.
    Source: Fanaskov and Oseledets, Doklady Mathematics 108 (2023), as coded for Du et al., ICLR 2024. Raises InputError
    on sizes out of range, more than `MOST` weights in A, other axes, and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 64,
        modes: int | Sequence[int] = 31,
        depth: int = 4,
        scale: float = 1e-3,
        oversampling: float = 1.0,
    ) -> None:
        super().__init__()
        check_axes(type(self).__name__, grid_in, grid_out)
        check_sizes(width=width, depth=depth)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.grid_in, self.grid_out = grid_in, grid_out
        self.width, self.depth, self.scale, self.oversampling = width, depth, scale, oversampling
        self.modes = checked_modes(modes, grid_out)
        if (weights := depth * prod(self.modes) ** 2) > MOST:
            most = int((MOST / depth) ** (1 / (2 * grid_out.ndim)))
            raise InputError(
                f"model.modes={list(self.modes)}: maps between all modes have {weights:,} weights, "
                f"{4 * weights / 2**30:.0f} GiB; wanted at most {most} modes per axis"
            )
        self.lattice = lattice_of(grid_out, self.modes)
        self.series = published_series(self.lattice)
        self.nodes = Nodes(self.series)
        layers = [_Mixing(width, prod(self.modes)) for _ in range(depth)]
        channels = features_of(in_channels, grid_in, grid_out)
        self.network = CoefficientNetwork(channels, width, out_channels, layers, torch.relu)

    @property
    def collocation(self) -> Grid:
        """Where a residual of the output is to be formed."""
        return finer(self, self.oversampling)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out, or N)."""
        z = self.network(self.nodes.to_modes(features(self, a)[0]))
        return output(self, self.scale * z.movedim(-1, 1), a, out)


class _Mixing(nn.Module):
    """W (A z + c) + b, (B, *modes, C) -> the same."""

    def __init__(self, width: int, modes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(modes, modes) * modes**-0.5)
        self.bias = nn.Parameter(torch.zeros(modes, 1))
        self.dense = Dense(width, width)

    def forward(self, z: Tensor) -> Tensor:
        flat = z.flatten(1, -2)
        mixed = torch.baddbmm(self.bias, self.weight.expand(flat.shape[0], -1, -1), flat)
        return self.dense(mixed.view(z.shape))
