"""Attention between functions: its softmax is an expectation under the measure of their domain."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.mlp import MLP
from pdeops.nn.pointwise import Pointwise
from pdeops.points import Points

NEVER = -1e4  # the logarithm of no weight: finite, so that a difference of two is a number, in half precision as well


def continuum_attention(
    q: Tensor, k: Tensor, v: Tensor, log_weights: Tensor | None = None, scale: float | None = None
) -> Tensor:
    """A_i = sum_j w_j exp(s q_i . k_j) v_j / sum_j w_j exp(s q_i . k_j), the mean of v under the density that query i
    chooses: (B, h, M, d), (B, h, N, d), (B, h, N, c) -> (B, h, M, c).

    With quadrature weights w the sums are integrals over the domain, and converge as nodes become more; a factor that
    all weights share cancels. log_weights: of `log_weights`, (N) or (B, N); None: equal ones. scale: s, by default
    d^(-1/2). It is torch's attention, whose quick kernels have no second derivatives: those are taken under
    `torch.nn.attention.sdpa_kernel(SDPBackend.MATH)`.

    Source: Calvello, Kovachki, Levine and Stuart, Continuum attention for neural operators, 2024, definition of
    attention on functions and its approximation by Monte Carlo or quadrature.
    """
    mask = None
    if log_weights is not None:
        mask = log_weights.to(q.dtype).view(-1, 1, 1, log_weights.shape[-1])
    if forward_ad._current_level >= 0 or torch._C._are_functorch_transforms_active():
        logits = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.mT
        return (logits if mask is None else logits + mask).softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale)


def log_weights(weights: Tensor) -> Tensor:
    """log(w / mean w), -1e4 where w = 0: (N) or (B, N). The mean, of those that are not 0, is taken out because logits
    of half precision hold small numbers best."""
    here = weights > 0
    mean = weights.sum(-1, keepdim=True) / here.sum(-1, keepdim=True)
    return torch.where(here, torch.where(here, weights / mean, 1.0).log(), NEVER)


def log_measure(where: Grid | Points) -> Tensor | None:
    """`log_weights` of a grid's nodes or of points; None where all are equal."""
    if isinstance(where, Points):
        return None if where.weights is None and where.mask is None else log_weights(where.measure())
    if all(axis.nodes not in ("uniform", "chebyshev") for axis in where):
        return None
    return log_weights(where.weights().flatten())


class Attention(nn.Module):
    """v + W_O [A_1, .., A_h], A_i = `continuum_attention` of W_Q u, W_K u and W_V u, u = LayerNorm(v): (B, N, C).

    known: of the N tokens the first so many are samples of the function; the rest ask what it is elsewhere, and no
    token attends to them. log_weights: of the samples. Keys and values have no bias: of keys it cancels, of values it
    is W_O's. Raises InputError where heads do not divide C.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        check_heads(width, heads)
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = Pointwise(width, 3 * width, bias=False)
        self.out = Pointwise(width, width)

    def forward(self, v: Tensor, log_weights: Tensor | None = None, known: int | None = None) -> Tensor:
        q, k, values = self.qkv(self.norm(v)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mean = continuum_attention(q, k[:, :, :known], values[:, :, :known], log_weights)
        return v + self.out(mean.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """v + MLP(LayerNorm(v)) at every node, (B, *n, C)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm, self.mlp = nn.LayerNorm(width), MLP(width, hidden, width)

    def forward(self, v: Tensor) -> Tensor:
        return v + self.mlp(self.norm(v))


def check_heads(width: int, heads: int, name: str = "width", of: str = "model") -> None:
    """Raise InputError unless each head has the same channels, at least one, of the option `name` of a part."""
    if heads < 1 or width % heads:
        raise InputError(f"{of}.heads={heads}: wanted a divisor of {of}.{name}={width}")
