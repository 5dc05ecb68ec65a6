"""Neural Spectral Methods in the published formulation."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor, nn

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
from pdeops.nn.mixing import Dense as Matrices
from pdeops.nn.on_grids import check_axes, check_sizes
from pdeops.nn.on_lattice import finer, lattice_of, output, vanishes


class NSMPublished(nn.Module):
    """As coded by its authors, to be compared with `NSM`: every layer maps coefficients to coefficients, and the
    activation T relu(T^-1 .) transforms every channel there and back on exactly as many nodes as modes.

    z_{l+1} = T relu(T^-1 (R_k z_l + W z_l + b)), R_k a real matrix for each of all modes (cosines and sines apart), b
    on every coefficient; Fourier and Chebyshev coefficients. u = scale times N(x) prod_i sin(pi x_i) on dirichlet axes,
    N else; of an evolution w + scale t N (`NSM`). Coordinates of all axes go in. `collocation`, `out`: as `NSM`.

    width, depth; modes: per axis, one for all or one each; scale: of the output; oversampling: as in `NSM`.
    Source: Du, Chalapathi and Krishnapriyan, ICLR 2024 (arXiv 2312.05225), by its code (width 64, depth 4, scale 1e-3).
    Raises InputError on sizes out of range, other axes, and inputs of the wrong shape.
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
        self.lattice = lattice_of(grid_out, self.modes)
        self.series = published_series(self.lattice)
        self.nodes = Nodes(self.series)
        layers = [_ModeWise(width, self.modes) for _ in range(depth)]
        channels = features_of(in_channels, grid_in, grid_out)
        self.network = CoefficientNetwork(channels, width, out_channels, layers, self.nodes.relu)

    @property
    def walls(self) -> bool:
        """Whether the output itself is zero on walls, so that zero must be zero in physical units."""
        return vanishes(self)

    @property
    def collocation(self) -> Grid:
        """Where a residual of the output is to be formed."""
        return finer(self, self.oversampling)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out, or N)."""
        v, x = features(self, a)
        z = self.network(self.nodes.to_modes(v))
        walls = [i for i, axis in enumerate(self.lattice) if axis.bc == "dirichlet"]
        if walls:
            z = self.nodes.to_modes(torch.sin(pi * x[..., walls]).prod(-1, keepdim=True) * self.nodes.to_values(z))
        return output(self, self.scale * z.movedim(-1, 1), a, out)


class _ModeWise(nn.Module):
    """R_k z_k + W z_k + b, (B, *modes, C) -> the same."""

    def __init__(self, width: int, modes: Sequence[int]) -> None:
        super().__init__()
        self.matrices = Matrices((*modes, width, width), width**-2)
        self.dense = Dense(width, width)

    def forward(self, z: Tensor) -> Tensor:
        return self.dense(z) + self.matrices(z.unsqueeze(1), [0] * (z.ndim - 2)).squeeze(1)
