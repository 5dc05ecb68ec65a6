"""Vision transformer neural operator."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from pdeops.bases.tables import bases
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.attention import FeedForward, check_heads
from pdeops.nn.on_grids import check_axes, check_input, check_sizes, for_each_axis
from pdeops.nn.patch_attention import PatchAttention
from pdeops.nn.patches import Patches, from_grid, to_wanted
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.spectral_conv import SpectralConv


class ViTNO(nn.Module):
    """v_0 = S(a, x) + P(a, x), v_{l+1} = (1 + F_l)(1 + A_l) v_l, y = Q v_depth, u = y + T y.

    A is an attention between patches that are functions (`nn.patch_attention`), on all of which the same spectral
    convolution S acts; P and Q are linear at every node, F is a perceptron there, of LayerNorm(v). P is ours: of S
    alone, modes beyond the kept ones, and whatever makes a patch's ends differ, would be lost before anything has seen
    them. y is made continuous across the patches' seams (`Patches.join`). T, a spectral convolution on the whole
    domain, by sines and cosines on periodic axes, by cosines on others, is the official remedy, which by itself leaves
    jumps. T is zero at first: random, it multiplies every mode of y by a number of its own, which all that comes before
    then has to undo.

    width: channels; patches: of each axis, at any resolution the same parts of the domain (`Patches` says which numbers
    of nodes they divide, and what happens to others); modes: of S per axis, both signs together, an even number as the
    odd one above it; heads: of each attention; depth: number of layers; hidden: width of F; smoothing: modes of T per
    axis (0: no T); coordinates: append x, the domain scaled to [0, 1], to the input (without it and T, translations
    by a patch commute with the operator on periodic axes).

    `out`: u is interpolated by cubics, onto grids along periodic axes by its Fourier series. Source: Calvello,
    Kovachki, Levine and Stuart, Continuum attention for neural operators, 2024 (vision transformer neural operator),
    there with the norms after each sum. Raises InputError on sizes out of range, modes that a patch does not hold, and
    inputs of the wrong shape.
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
        smoothing: int | Sequence[int] = 32,
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
        self.smoothing = for_each_axis("smoothing", smoothing, grid_in)
        if min(self.smoothing) < 0 or (0 in self.smoothing and any(self.smoothing)):
            raise InputError(f"model.smoothing={list(self.smoothing)}: wanted modes for every axis, or 0 for all")
        features = in_channels + (d if coordinates else 0)
        self.spectral = SpectralConv(features, width, self.cutting.frequencies(), bases=self.cutting.bases())
        self.lifting = Pointwise(features, width)
        self.attentions = nn.ModuleList(PatchAttention(width, heads) for _ in range(depth))
        self.perceptrons = nn.ModuleList(FeedForward(width, hidden) for _ in range(depth))
        self.projection = Pointwise(width, out_channels)
        self.seams: SpectralConv | None = None
        if any(self.smoothing):
            own = self.cutting.grid
            whole = bases(own, ["fourier" if axis.periodic else "cosine" for axis in own])
            self.seams = SpectralConv(out_channels, out_channels, self.smoothing, bases=whole)
            for weight in self.seams.parameters():
                nn.init.zeros_(weight)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out), on another grid of these axes, or at points
        (N, d) or (B, N, d): (B, out_channels, N)."""
        check_input(self, a)
        v, lattice = from_grid(self.cutting, self, a, self.coordinates)
        batch, count, *sizes, _ = v.shape
        x = v.flatten(0, 1)
        v = self.spectral(x, sizes, onto=self.lifting(v).view(*x.shape[:-1], -1)).view(batch, count, -1, self.width)
        weights = self.cutting.weights(lattice, v)
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            v = perceptron(attention(v, weights))
        u = self.cutting.join(self.projection(v).view(batch, count, *sizes, -1), lattice)
        if self.seams is not None:
            u = self.seams(u, lattice.shape, onto=u)
        return to_wanted(u, lattice, self, a, out)

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of an input of these sizes; None where patches divide them."""
        return self.cutting.told(self, n)
