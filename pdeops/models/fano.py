"""Fourier attention neural operator."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pdeops.grid import Grid
from pdeops.nn.attention import FeedForward, check_heads
from pdeops.nn.fourier_attention import FourierAttention
from pdeops.nn.on_grids import check_axes, check_input, check_sizes
from pdeops.nn.patches import Patches, from_grid, to_wanted
from pdeops.nn.pointwise import Pointwise


class FANO(nn.Module):
    """v_0 = P(a, x), v_{l+1} = (1 + F_l)(1 + A_l) v_l, u = Q v_depth.

    A is an attention between patches that are functions, whose queries, keys and values are Fourier integral operators
    on a patch (`nn.fourier_attention`); P and Q are linear at every node, F is a perceptron there, of LayerNorm(v).

    width: channels; patches: of each axis, at any resolution the same parts of the domain (`Patches` says which numbers
    of nodes they divide, and what happens to others); modes: of the integral operators per axis, both signs together,
    an even number as the odd one above it; heads: of each attention; depth: number of layers; hidden: width of F;
    coordinates: append x, the domain scaled to [0, 1], to the input (without it, translations by a patch commute with
    the operator on periodic axes).

    u is made continuous across the patches' seams (`Patches.join`). `out`: it is interpolated by cubics, onto grids
    along periodic axes by its Fourier series.

    Source: Calvello, Kovachki, Levine and Stuart, Continuum attention for neural operators, 2024 (Fourier attention
    neural operator), there with the norms after each sum, and jumps. Raises InputError on sizes out of range, modes
    that a patch does not hold, and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 32,
        patches: int | Sequence[int] = 8,
        modes: int | Sequence[int] = 7,
        heads: int = 8,
        depth: int = 6,
        hidden: int = 128,
        coordinates: bool = True,
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        check_axes(type(self).__name__, grid_in, grid_out)
        check_sizes(width=width, depth=depth, hidden=hidden)
        check_heads(width, heads)
        self.cutting = Patches(grid_in, patches, modes)
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.heads, self.depth, self.hidden, self.coordinates = width, heads, depth, hidden, coordinates
        self.patches, self.modes = self.cutting.counts, self.cutting.modes
        self.lifting = Pointwise(in_channels + (d if coordinates else 0), width)
        basis, kept = self.cutting.bases(), self.cutting.frequencies()
        self.attentions = nn.ModuleList(FourierAttention(width, heads, basis, kept) for _ in range(depth))
        self.perceptrons = nn.ModuleList(FeedForward(width, hidden) for _ in range(depth))
        self.projection = Pointwise(width, out_channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out), on another grid of these axes, or at points
        (N, d) or (B, N, d): (B, out_channels, N)."""
        check_input(self, a)
        v, lattice = from_grid(self.cutting, self, a, self.coordinates)
        v = self.lifting(v)
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            v = perceptron(attention(v))
        return to_wanted(self.cutting.join(self.projection(v), lattice), lattice, self, a, out)

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of an input of these sizes; None where patches divide them."""
        return self.cutting.told(self, n)
