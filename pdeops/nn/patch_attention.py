"""Attention between patches of a field, of their values at nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pdeops.nn.attention import check_heads, continuum_attention
from pdeops.nn.pointwise import Pointwise


class PatchAttention(nn.Module):
    """v_p + W_O [sum_q softmax_q(e^tau s_pq / d^(1/2)) W_V u_q], s_pq the mean of <W_Q u_p, W_K u_q> over a patch,
    u = LayerNorm(v): (B, patches, nodes, C), and weights of a patch's nodes, equal ones where they are None.

    The mean is an integral by quadrature, and values are whole functions, so that nothing depends on the number of
    nodes. tau: one number per head, at first 0. The official score divides the sum over a patch by the nodes of the
    whole domain: e^tau = d^(1/2) / patches, which makes attention nearly uniform. Keys and values have no bias, as in
    `nn.attention.Attention`. Raises InputError where heads do not divide C.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Parameter(_uniform(width)) for _ in range(3))
        self.temperature = nn.Parameter(torch.zeros(heads))
        self.out = Pointwise(width, width)

    def forward(self, v: Tensor, weights: Tensor | None = None) -> Tensor:
        batch, count, size, width = v.shape
        each = width // self.heads
        # channels first: a product writes them so, and the functions of a head's patch are then almost one piece
        u = self.norm(v).view(batch, count * size, width).mT
        factors = (self.temperature.exp() / each**0.5).repeat_interleave(each).unsqueeze(1)

        def functions(weight: Tensor) -> Tensor:
            f = torch.bmm(weight.expand(batch, -1, -1), u)
            return f.view(batch, self.heads, each, count, size).transpose(2, 3)

        q, k, values = functions(factors * self.query), functions(self.key), functions(self.value)
        if weights is not None:
            k = k * (size * weights).to(k.dtype)
        mean = continuum_attention(q.flatten(3), k.flatten(3), values.flatten(3), scale=1 / size)
        mean = mean.view(batch, self.heads, count, each, size).transpose(2, 3).reshape(batch, width, count * size)
        return v + self.out(mean.mT).view(v.shape)


def _uniform(width: int) -> Tensor:
    """As of a linear layer."""
    return (2 * torch.rand(width, width) - 1) * width**-0.5
