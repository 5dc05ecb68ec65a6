"""Transformer neural operator."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pdeops.grid import Grid
from pdeops.nn.at_points import at_points, nearby
from pdeops.nn.attention import Attention, FeedForward, check_heads, log_measure
from pdeops.nn.on_grids import check_axes, check_input, check_sizes, nodes_wanted
from pdeops.nn.on_points import check_values, grid_there, nodes, points_there, scaled
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.resample import INWARD
from pdeops.points import Points


class TNO(nn.Module):
    """v_0 = P(a, x), v_{l+1} = (1 + F_l)(1 + A_l) v_l, u = Q v_depth: A an attention whose integrals over the domain
    are by quadrature (`nn.attention`), F a perceptron per node, both of LayerNorm(v); P and Q linear.

    Samples of a are tokens, on a grid of one to three axes or at any points (`at`), with the quadrature weights of the
    grid's axes or the points' own, so that the operator is the same for any samples, and converges as they become
    more. Its cost grows with the square of their number. `out`: places that ask but are not asked. Their input is
    interpolated (on grids linearly between nodes, of scattered values from the d + 2 nearest), and the value at a
    sample's place is the sample's.

    width: channels; heads: of each attention; depth: number of layers; hidden: width of F; coordinates: append x, the
    domain scaled to [0, 1], to the input (without it, samples may be permuted, and translated on periodic axes).

    Source: Calvello, Kovachki, Levine and Stuart, Continuum attention for neural operators, 2024 (transformer neural
    operator), there with the norms after each sum. Raises InputError on sizes out of range and inputs of the wrong
    shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 64,
        heads: int = 8,
        depth: int = 6,
        hidden: int = 128,
        coordinates: bool = True,
    ) -> None:
        super().__init__()
        check_axes(type(self).__name__, grid_in, grid_out)
        check_sizes(width=width, depth=depth, hidden=hidden)
        check_heads(width, heads)
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.heads, self.depth, self.hidden, self.coordinates = width, heads, depth, hidden, coordinates
        self.lifting = Pointwise(in_channels + (grid_in.ndim if coordinates else 0), width)
        self.attentions = nn.ModuleList(Attention(width, heads) for _ in range(depth))
        self.perceptrons = nn.ModuleList(FeedForward(width, hidden) for _ in range(depth))
        self.projection = Pointwise(width, out_channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out), on another grid of these axes, or at points
        (N, d) or (B, N, d): (B, out_channels, N)."""
        check_input(self, a)
        grid = self.grid_in.resized(a.shape[2:])
        if isinstance(out, Tensor):
            return self._on_grid(a, grid, points_there(self, out, a))
        to = grid_there(self, self.grid_out.resized(nodes_wanted(self, grid.shape, out)))
        return self._on_grid(a, grid, None if to == grid else nodes(to, a)).unflatten(2, to.shape)

    def at(self, a: Tensor, points: Points, out: Points | None = None) -> Tensor:
        """(B, in_channels, N), values at the points -> (B, out_channels, N), or at the points `out`.

        Values at points whose mask is False are 0 in the output, and do not matter in the input. Places stand in the
        domain of grid_in, of whose nodes nothing is used here.
        """
        check_values(self, a, points, out)
        x, v = scaled(self, points, a), a.mT
        if points.mask is not None:
            v = torch.where(points.mask.unsqueeze(-1), v, 0.0)
        weights, known = log_measure(points), v.shape[1]
        if out is not None:
            y = scaled(self, out, a)
            asked = nearby(v, x, points.mask, y, [axis.periodic for axis in self.grid_in])
            v, x = torch.cat([v, asked], 1), _joined(x, y)
            points = out
        u = self._values(v, x, weights, known)[:, -points.x.shape[-2] :].mT
        return u if points.mask is None else u.masked_fill(~points.mask.unsqueeze(1), 0.0)

    def _on_grid(self, a: Tensor, grid: Grid, out: Points | None) -> Tensor:
        own = nodes(grid, a)
        x, v = scaled(self, own, a), a.flatten(2).mT
        known = v.shape[1]
        if out is not None:
            y = scaled(self, out, a)
            asked = at_points(a.movedim(1, -1), grid, out.x, INWARD)
            v, x = torch.cat([v, asked], 1), _joined(x, y)
        u = self._values(v, x, log_measure(grid), known)
        return u[:, 0 if out is None else known :].mT

    def _values(self, v: Tensor, x: Tensor, weights: Tensor | None, known: int) -> Tensor:
        """The output at all tokens, (B, N, out_channels): samples, `known` of them, and places that ask."""
        if self.coordinates:
            v = torch.cat([v, x.to(v).expand(v.shape[0], -1, -1)], -1)
        v = self.lifting(v)
        weights = None if weights is None else weights.to(v.device)
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            v = perceptron(attention(v, weights, known))
        return self.projection(v)


def _joined(x: Tensor, y: Tensor) -> Tensor:
    batch = max(x.shape[0], y.shape[0])
    return torch.cat([x.expand(batch, -1, -1), y.expand(batch, -1, -1)], 1)
