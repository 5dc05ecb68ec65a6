"""Attention between patches of a field, of their Fourier coefficients."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from pdeops.nn.attention import check_heads, continuum_attention
from pdeops.nn.patches import PatchFourier
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.spectral_conv import Transform


class FourierAttention(nn.Module):
    """v_p + W_O [sum_q softmax_q(e^tau s_pq / d^(1/2)) V u_q], s_pq the mean of <Q u_p, K u_q> over a patch,
    u = LayerNorm(v): (B, patches, *nodes, C).

    Q, K and V are Fourier integral operators of each head: one complex C x d matrix per frequency f, |f_i| <= modes/2,
    that of -f the conjugate one. All happens on coefficients: with the modes kept, by Parseval,

        s_pq = sum_f Re <(Q u_p)(f), conj (K u_q)(f)> = sum_(f_d >= 0) m_f (..), m_f = 2 where f_d > 0, else 1,

    and W_O acts on them too. So it costs the same at every resolution, but for one transform there and one back. Means
    over a patch's nodes by trapezoids or midpoints are the same, since it has more than 2 max |f| intervals. What the
    modes do not hold of v is kept by the sum with v alone. tau: one number per head, at first 0. No biases: that of
    keys cancels, others are the perceptron's. Raises InputError where heads do not divide C.
    """

    def __init__(self, width: int, heads: int, bases: Sequence[PatchFourier], modes: Sequence[int]) -> None:
        super().__init__()
        check_heads(width, heads)
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
