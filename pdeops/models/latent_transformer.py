"""Continuum attention on few tokens: a transformer between local moments of a field."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, prod

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.at_points import at_points, nearby
from pdeops.nn.attention import Attention, FeedForward, check_heads
from pdeops.nn.coordinates import coordinates
from pdeops.nn.mlp import MLP
from pdeops.nn.moments import Windows
from pdeops.nn.on_grids import check_axes, check_input, check_sizes, for_each_axis, nodes_wanted
from pdeops.nn.on_points import check_values, grid_there, points_there, scaled
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.resample import INWARD
from pdeops.points import Points


class LatentTransformer(nn.Module):
    """v = P(a, x), z_0 = E M v + e, z_{l+1} = (1 + F_l)(1 + A_l) z_l, u = Q(S D z_depth + W v).

    M takes a few moments of v in windows that overlap and cover the domain, S is their sum again (`nn.moments`): a
    token is what a window holds, and what it makes of it is smooth across their seams. A is attention between all
    tokens, F a perceptron, both of LayerNorm(z); E, D, W are linear, e a learned place of each token, P and Q
    perceptrons per node. Moments are integrals, so that the operator is the same on any lattice and at scattered points
    (`at`), and its attention costs the same for any number of them.

    `out`: S is evaluated there; a is interpolated for W v, on grids linearly between nodes, of scattered values from
    the d + 2 nearest.

    width: channels of v; patches: windows along each axis; moments: of each window along each axis; latent: channels
    of tokens; heads: of each attention; depth: number of layers; hidden: width of F; projection: width of Q.

    Ours, after the vision transformer neural operator of Calvello, Kovachki, Levine and Stuart, Continuum attention
    for neural operators, 2024. Raises InputError on sizes out of range, periodic axes of one window,
    more windows than nodes, and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 16,
        patches: int | Sequence[int] = 8,
        moments: int = 4,
        latent: int = 128,
        heads: int = 8,
        depth: int = 4,
        hidden: int = 256,
        projection: int = 64,
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        check_axes(type(self).__name__, grid_in, grid_out)
        self.patches = for_each_axis("patches", patches, grid_in)
        check_sizes(width=width, moments=moments, latent=latent, depth=depth, hidden=hidden, projection=projection)
        check_heads(latent, heads, "latent")
        for axis, p in zip(grid_in, self.patches, strict=True):
            if p < 1 + axis.periodic:
                raise InputError(
                    f"model.patches={list(self.patches)}: wanted {1 + axis.periodic} or more on {axis.name}"
                )
            n = max(axis.n, *(there.n for there in grid_out if there.name == axis.name))
            if p > n:
                raise InputError(
                    f"model.patches={list(self.patches)}: more windows along {axis.name} than its {n} nodes; take "
                    "fewer, each of some nodes for its moments"
                )
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.moments, self.latent, self.heads = width, moments, latent, heads
        self.depth, self.hidden, self.projection = depth, hidden, projection
        self.windows = Windows(self.patches, tuple(axis.periodic for axis in grid_in), moments)

        self.lifting = MLP(in_channels + d + sum(self.windows.periodic), 2 * width, width)
        self.embedding = nn.Linear(width * moments**d, latent)
        self.places = nn.Parameter(0.02 * torch.randn(prod(self.patches), latent))
        self.attentions = nn.ModuleList(Attention(latent, heads) for _ in range(depth))
        self.perceptrons = nn.ModuleList(FeedForward(latent, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(latent)
        self.readout = nn.Linear(latent, width * moments**d)
        self.skip = Pointwise(width, width)
        self.head = MLP(width, projection, out_channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out), on another grid of these axes, or at points
        (N, d) or (B, N, d): (B, out_channels, N)."""
        check_input(self, a)
        own, v = self.grid_in.resized(a.shape[2:]), a.movedim(1, -1)
        lifted = self._lifted(v, self._nodes(own, v))
        z = self._tokens(self.windows.analyse(lifted, own))
        if isinstance(out, Tensor):
            points = points_there(self, out, a)
            x = scaled(self, points, a)
            there = self._lifted(at_points(v, own, points.x, INWARD), x)
            return self.head(self.windows.synthesise_at(z, x) + self.skip(there)).mT
        to = grid_there(self, self.grid_out.resized(nodes_wanted(self, own.shape, out)))
        if to != own:
            v = at_points(v, own, to.points().flatten(0, -2), INWARD).view(v.shape[0], *to.shape, -1)
            lifted = self._lifted(v, self._nodes(to, v))
        return self.head(self.windows.synthesise(z, to) + self.skip(lifted)).movedim(-1, 1)

    def at(self, a: Tensor, points: Points, out: Points | None = None) -> Tensor:
        """(B, in_channels, N), values at the points -> (B, out_channels, N), or at the points `out`.

        Values at points whose mask is False are 0 in the output, and do not matter in the input. Places stand in the
        domain of grid_in, of whose nodes nothing is used here.
        """
        check_values(self, a, points, out)
        x, v = scaled(self, points, a), a.mT
        if points.mask is not None:
            v = torch.where(points.mask.unsqueeze(-1), v, 0.0)
        lifted = self._lifted(v, x)
        z = self._tokens(self.windows.analyse_at(lifted, x, points.measure()))
        if out is not None:
            y = scaled(self, out, a)
            lifted = self._lifted(nearby(v, x, points.mask, y, self.windows.periodic), y)
            points, x = out, y
        u = self.head(self.windows.synthesise_at(z, x) + self.skip(lifted)).mT
        return u if points.mask is None else u.masked_fill(~points.mask.unsqueeze(1), 0.0)

    def _lifted(self, v: Tensor, x: Tensor) -> Tensor:
        """P of values (B, *n, C) and places (B or 1, *n, d), scaled to [0, 1]; those on a circle by cosine and sine."""
        each = zip(x.to(v).split(1, -1), self.windows.periodic, strict=True)
        places = [e for y, circle in each for e in (((2 * pi * y).cos(), (2 * pi * y).sin()) if circle else (y,))]
        return self.lifting(torch.cat([v, *(y.expand(*v.shape[:-1], 1) for y in places)], -1))

    def _tokens(self, z: Tensor) -> Tensor:
        z = self.embedding(z) + self.places
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            z = perceptron(attention(z))
        return self.readout(self.norm(z))

    def _nodes(self, grid: Grid, like: Tensor) -> Tensor:
        return coordinates(grid, grid.shape, like).movedim(0, -1).unsqueeze(0)
