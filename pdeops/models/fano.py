"""Fourier attention neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.attention import FeedForward, check_heads, continuum_attention
from pdeops.nn.on_grids import check_input, check_sizes
from pdeops.nn.patches import Patches, PatchFourier, from_grid, to_wanted
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.spectral_conv import Transform


class FANO(nn.Module):
    """v_0 = P(a, x), v_{l+1} = (1 + F_l)(1 + A_l) v_l, u = Q v_depth.

    A is an attention between patches that are functions, whose queries, keys and values are Fourier integral operators
    on a patch (`FourierAttention`); P and Q are linear at every node, F is a perceptron there, of LayerNorm(v).

    width: channels; patches: of each axis, at any resolution the same parts of the domain (`Patches` says which numbers
    of nodes they divide, and what happens to others); modes: of the integral operators per axis, both signs together,
    an even number as the odd one above it; heads: of each attention; depth: number of layers; hidden: width of F;
    coordinates: append x, the domain scaled to [0, 1], to the input (without it, translations by a patch commute with
    the operator on periodic axes).

    `out`: u is interpolated by cubics. u may jump at the seams of patches. Source: Calvello, Kovachki, Levine and
    Stuart, Continuum attention for neural operators, 2024 (Fourier attention neural operator), there with the norms
    after each sum. Raises InputError on sizes out of range, modes that a patch does not hold, and inputs of the wrong
    shape.
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
        if grid_in.names != grid_out.names:
            raise InputError(f"FANO keeps its axes; got {grid_in.names} in and {grid_out.names} out")
        if not 1 <= d <= 3:
            raise InputError(f"FANO works on 1 to 3 axes; this grid has {d}: {grid_in.names}")
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


class FourierAttention(nn.Module):
    """v_p + W_O [sum_q softmax_q(e^tau s_pq / d^(1/2)) V u_q], s_pq the mean of <Q u_p, K u_q> over a patch,
    u = LayerNorm(v): (B, patches, *nodes, C).

    Q, K and V are Fourier integral operators of each head: one complex C x d matrix per frequency f, |f_i| <= modes/2,
    that of -f the conjugate one. All happens on coefficients: with the modes kept, by Parseval,

        s_pq = sum_f Re <(Q u_p)(f), conj (K u_q)(f)> = sum_(f_d >= 0) m_f (..), m_f = 2 where f_d > 0, else 1,

    and W_O acts on them too. So it costs the same at every resolution, but for one transform there and one back. This
    equals the mean over nodes exactly, since a patch has more nodes than 2 max |f|. What the modes do not hold of v is
    kept by the sum with v alone. tau: one number per head, at first 0. No biases: that of keys cancels, others are
    the perceptron's.
    """

    def __init__(self, width: int, heads: int, bases: Sequence[PatchFourier], modes: Sequence[int]) -> None:
        super().__init__()
        self.heads, self.transform = heads, Transform(bases)
        self.stored = *modes[:-1], modes[-1] // 2 + 1
        self.norm = nn.LayerNorm(width)
        columns = 3, heads, 2, width // heads  # query, key, value; head; real and imaginary part; channel
        self.weight = nn.Parameter(torch.randn(*self.stored, width, *columns) * (2 * width) ** -0.5)
        self.temperature = nn.Parameter(torch.zeros(heads))
        self.out = Pointwise(width, width, bias=False)

    def forward(self, v: Tensor) -> Tensor:
        batch, count, *sizes, width = v.shape
        rows, modes = batch * count, prod(self.stored)
        z = self.transform.analyse(self.norm(v).flatten(0, 1), self.stored).view(rows, 2, modes, width)
        z = z.permute(2, 0, 1, 3).reshape(modes, rows, 2 * width)
        y = torch.bmm(z, self.matrices()).view(modes, batch, count, 3, self.heads, -1)
        q, k, values = y.permute(3, 1, 4, 2, 0, 5).flatten(4).unbind(0)
        mean = continuum_attention(q, k, values, scale=1.0).view(batch, self.heads, count, modes, 2, -1)
        z = mean.permute(0, 2, 4, 3, 1, 5).reshape(rows, 2, modes, width)
        z = self.out(z).view(rows, 2, *self.stored, width)
        return v + self.transform.synthesise(z, sizes, sizes, self.stored).view(v.shape)

    def matrices(self) -> Tensor:
        """(modes, 2 C, 6 C), real: what takes [Re z | Im z] to the columns of `weight`, the queries' with m_f and the
        temperature."""
        w = hermitian(self.weight).flatten(0, -6)
        twice = [1.0] + [2.0] * (self.stored[-1] - 1)
        m = w.new_tensor(twice).repeat(len(w) // len(twice)).unsqueeze(1)
        factor = m * self.temperature.exp() / w.shape[-1] ** 0.5
        w = w * torch.stack([factor, *[torch.ones_like(factor)] * 2], 1).unsqueeze(1)[..., None, None]
        turned = w.flip(-2) * w.new_tensor([[-1.0], [1.0]])  # of i z
        return torch.cat([w, turned], 1).flatten(2)


def hermitian(weight: Tensor) -> Tensor:
    """(*modes, C, 3, heads, 2, d) with its matrices of -f the conjugates of those of f where f_last = 0, so that real
    fields go to real ones: the means of both."""
    last = weight.ndim - 6
    plane, others = weight.narrow(last, 0, 1), weight.narrow(last, 1, weight.shape[last] - 1)
    mirrored = plane.flip(tuple(range(last))) * plane.new_tensor([[1.0], [-1.0]])
    return torch.cat([(plane + mirrored) / 2, others], last)
