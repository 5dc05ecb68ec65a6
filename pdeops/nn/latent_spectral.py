"""The neural spectral block of latent spectral models: patches of a field, compressed to a few tokens by attention, a
trigonometric series of the tokens' values, and back by attention. Its passes are compiled for CPUs where `activation`
has compiled ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.nn.activation import required, suits, threads
from pdeops.nn.mlp import differentiable
from pdeops.nn.series import Series
from pdeops.nn.unet import UNet


class NeuralSpectralBlock(nn.Module):
    """x -> x + decoded series of tokens, (B, C, *n) -> the same shape, with channels last in memory.

    Each axis is cut into `patches` patches of n / patches nodes. Of a patch's nodes l, for every head (dh = C / heads
    channels, `tokens` learned queries q_t), with keys W_K x_l, values W_V x_l + b_V:

        z_t = q_t + sum_l softmax_l(q_t . k_l) v_l,
        z  <- z + sum_(m=1)^(M-1) s_m sin(pi m z / M) + sum_(m=0)^(M-1) c_m cos(pi m z / M),    M = basis, per channel,
        out_l = x_l + sum_t softmax_t((W_Q x_l + b_Q) . z_t) z_t.

    As q is the same for all inputs, keys are never formed: logits are x_l . (W_K^T q_t). Values are formed of the
    tokens' means of x, and W_Q is applied to z: products with C x C matrices then are over tokens, not over nodes.
    Softmax over nodes is a mean, which converges as they become more. scaled: logits are divided by sqrt(dh).

    Source: Wu et al., ICML 2023, section 3.2, whose softmax forgets a bias of keys, and whose sin(0) is no function.
    Raises InputError on sizes that do not fit.
    """

    def __init__(
        self, channels: int, patches: int, *, heads: int = 8, tokens: int = 4, basis: int = 12, scaled: bool = False
    ) -> None:
        super().__init__()
        if min(heads, tokens) < 1 or basis < 2:
            raise InputError(
                f"model.heads={heads}, model.tokens={tokens}, model.basis={basis}: wanted at least 1, 1 and 2"
            )
        if channels % heads:
            raise InputError(f"model.heads={heads} do not divide model.width={channels}: wanted one of its divisors")
        self.patches, self.heads, self.basis, self.scaled = patches, heads, basis, scaled
        dh = channels // heads
        self.tokens = nn.Parameter(torch.randn(heads, tokens, dh) * dh**-0.5)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels)
        self.query = nn.Linear(channels, channels)
        self.series = nn.Parameter((2 * torch.rand(2 * basis - 1, channels) - 1) / channels)

    def extra_repr(self) -> str:
        return f"patches={self.patches}"

    def forward(self, x: Tensor) -> Tensor:
        heads, tokens, dh = self.tokens.shape
        scale = dh**-0.5 if self.scaled else 1.0
        keys = scale * torch.bmm(self.tokens, self.key.weight.view(heads, dh, -1)).flatten(0, 1)
        start = (self.tokens + self.value.bias.view(heads, 1, dh)).transpose(0, 1).reshape(tokens, -1)
        maps = keys, start, self.value.weight, self.series, scale * self.query.weight, scale * self.query.bias
        v = x.movedim(1, -1).contiguous()
        return latent_spectral(v, self.patches, heads, *maps).movedim(-1, 1)


def with_blocks(trunk: UNet, *, heads: int, tokens: int, basis: int, scaled: bool) -> UNet:
    """The U-Net with a neural spectral block on each of its levels, also the coarsest.

    Patches are counted, 2^(levels - 1), ..., 2, 1 along each axis from the finest level on, so that a patch is the same
    part of the domain at any resolution.
    """
    trunk.across = nn.ModuleList(
        NeuralSpectralBlock(c, 2**l, heads=heads, tokens=tokens, basis=basis, scaled=scaled)
        for c, l in zip(trunk.widths, reversed(range(trunk.levels)), strict=True)
    )
    return trunk


def latent_spectral(v: Tensor, patches: int, heads: int, *maps: Tensor) -> Tensor:
    """The block of fields (B, *n, C); maps: keys (heads tokens, C), start (tokens, C), W_V (C, C), series (2 M - 1, C),
    W_Q (C, C), b_Q (C)."""
    inputs = [v, *(x.contiguous() for x in maps)]
    if not suits(*inputs) or torch.is_autocast_enabled("cpu"):
        return composed(v, patches, heads, *maps)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Fused.apply(patches, heads, *inputs)
    return _forward(patches, heads, inputs, keep=False)[0]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, patches: int, heads: int, *inputs: Tensor) -> Tensor:
        out, z = _forward(patches, heads, inputs, keep=True)
        ctx.patches, ctx.heads = patches, heads
        ctx.save_for_backward(z, *inputs)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        z, *inputs = ctx.saved_tensors
        dout, graph = dout.contiguous(), torch.is_grad_enabled()
        if graph or not suits(dout, *inputs):  # differentiable, or seen by a transform

            def function(v: Tensor, *maps: Tensor) -> Tensor:
                return composed(v, ctx.patches, ctx.heads, *maps)

            return None, None, *differentiable(function, inputs, ctx.needs_input_grad[2:], dout, graph)
        return None, None, *_backward(ctx.patches, ctx.heads, z, inputs, dout)


def _forward(patches: int, heads: int, inputs: Sequence[Tensor], keep: bool) -> tuple[Tensor, Tensor]:
    """out, and the tokens before the series where they are kept."""
    latent, job = required("latent", "job")
    v, keys, start, w_v, series, w_q, b_q = (x.detach() for x in inputs)
    sizes, scratch, team, zeros = _sizes(patches, heads, v, start, series)
    out, z = torch.empty_like(v), v.new_empty(sizes[0] if keep else 0, *start.shape)
    maps = keys.t().contiguous(), start, w_v.t().contiguous(), series, w_q, b_q
    job.run(latent.forward, team, 0, *sizes, scratch.shape[1], keep, scratch, zeros, v, *maps, out, z)
    return out, z


def _backward(patches: int, heads: int, z: Tensor, inputs: Sequence[Tensor], dout: Tensor) -> tuple[Tensor, ...]:
    """The gradients of the inputs."""
    latent, job = required("latent", "job")
    v, keys, start, w_v, series, w_q, b_q = (x.detach() for x in inputs)
    sizes, scratch, team, zeros = _sizes(patches, heads, v, start, series)
    limit = latent.length(sizes[0])
    one = torch.cat([zeros.new_ones(1), zeros])
    parts = [x.numel() for x in inputs[1:]]
    dv, sums = torch.empty_like(v), v.new_zeros(-(-sizes[0] // limit), sum(parts))
    fields = scratch, zeros, one, torch.ones_like(zeros), dout, v, z
    maps = keys, keys.t().contiguous(), w_v, series, w_q, w_q.t().contiguous(), b_q
    job.run(latent.backward, team, 0, *sizes, scratch.shape[1], limit, *fields, *maps, dv, sums)
    # by numpy, in order: torch's sum may depend on threads
    total = torch.from_numpy(sums.numpy().sum(0)).split(parts)
    return dv, *(d.view_as(x) for d, x in zip(total, inputs[1:], strict=True))


def _sizes(patches: int, heads: int, v: Tensor, start: Tensor, series: Tensor):
    """What both passes are told first; scratch for each thread; the threads; zeros."""
    (latent,) = required("latent")
    batch, *n, channels = v.shape
    ones, tokens = (1,) * (3 - len(n)), len(start)
    each = *ones, *(k // patches for k in n)
    nodes, rows, team = prod(each), heads * tokens, threads()
    scratch = v.new_empty(team, latent.scratch(nodes, channels, rows, tokens))
    zeros = v.new_zeros(max(nodes, rows, tokens * channels))
    grid = *ones, *(patches,) * len(n)
    sizes = batch * patches ** len(n), *grid[1:], *each, channels, heads, tokens, (len(series) + 1) // 2
    return sizes, scratch, team, zeros


def composed(
    v: Tensor,
    patches: int,
    heads: int,
    keys: Tensor,
    start: Tensor,
    w_v: Tensor,
    weights: Tensor,
    w_q: Tensor,
    b_q: Tensor,
) -> Tensor:
    """`latent_spectral` by torch's operators; softmax and series in single precision at least."""
    x = _cut(v, patches)  # (P, L, C)
    count, nodes, channels = x.shape
    tokens, dh = len(start), channels // heads
    exact = torch.promote_types(v.dtype, torch.float32)
    attention = F.softmax((x @ keys.t()).to(exact), dim=1).to(x.dtype)
    means = (attention.mT @ x).view(count, heads, tokens, channels).movedim(1, 0)  # (heads, P, tokens, C)
    values = means.flatten(1, 2) @ w_v.view(heads, dh, channels).mT
    z = values.view(heads, count, tokens, dh).permute(1, 2, 0, 3).flatten(2) + start
    z = Series.apply(z.to(exact), weights.to(exact)).to(x.dtype)  # (P, tokens, C)
    z = z.view(count, tokens, heads, dh).permute(2, 0, 1, 3)  # (heads, P, tokens, dh)
    queries = (z.flatten(1, 2) @ w_q.view(heads, dh, channels)).view(heads, count, tokens, channels)
    bias = torch.einsum("hpti,hi->pht", z, b_q.view(heads, dh)).flatten(1)
    logits = x @ queries.movedim(0, 1).flatten(1, 2).mT + bias.unsqueeze(1)
    back = F.softmax(logits.to(exact).view(count, nodes, heads, tokens), dim=-1).to(x.dtype)
    y = torch.matmul(back.permute(2, 0, 1, 3), z).permute(1, 2, 0, 3).flatten(2)
    return _joined(x + y, v.shape, patches)


def _cut(v: Tensor, patches: int) -> Tensor:
    """(B, *n, C) -> (B patches^d, nodes of a patch, C)."""
    batch, *n, channels = v.shape
    d, nodes = len(n), prod([k // patches for k in n])
    split = v.view(batch, *(e for k in n for e in (patches, k // patches)), channels)
    order = 0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2), 2 * d + 1
    return split.permute(order).reshape(batch * patches**d, nodes, channels)


def _joined(x: Tensor, shape: Sequence[int], patches: int) -> Tensor:
    """What `_cut` cut, (B, *n, C)."""
    batch, *n, channels = shape
    d = len(n)
    split = x.view(batch, *(patches,) * d, *(k // patches for k in n), channels)
    order = 0, *(e for i in range(d) for e in (1 + i, 1 + d + i)), 2 * d + 1
    return split.permute(order).reshape(shape)
