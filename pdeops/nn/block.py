"""The block of Fourier neural operators; its pointwise part is one compiled pass over tiles of rows where `activation`
has such passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from pdeops.nn.activation import gated_gelu, gelu, required, suits, threads
from pdeops.nn.mlp import MLP, as_built, composed, differentiable, hooked, weights
from pdeops.nn.pointwise import GroupNorm, Pointwise, pointwise
from pdeops.nn.spectral_conv import SpectralConv

Field = Callable[[Tensor], Tensor]
Norm = Literal["none", "group", "instance"]


class Block(nn.Module):
    """`residual` of a spectral convolution, a pointwise skip, and an MLP with a gate per channel (hidden = 0: neither).

    v (B, *n, C) -> (B, *n_out, C), the lattice of `at_out` (default: v itself), which goes to skip and gate.
    """

    def __init__(self, conv: SpectralConv, width: int, hidden: int, norm: Norm = "none", last: bool = False) -> None:
        super().__init__()
        self.last = last
        self.spectral = conv
        self.skip = Pointwise(width, width)
        self.mlp: MLP | None = None
        if hidden > 0:
            self.mlp = MLP(width, hidden, width)
            self.gate = nn.Parameter(torch.ones(width))
        groups = {"none": 0, "group": 4, "instance": width}[norm]
        ends = 0 if groups == 0 else 1 if self.mlp is None else 2
        self.norms = nn.ModuleList(GroupNorm(groups, width) for _ in range(ends))

    def forward(self, v: Tensor, at_out: Tensor | None = None) -> Tensor:
        at_out = v if at_out is None else at_out
        return self.after(partial(self.spectral, v, tuple(at_out.shape[1:-1])), at_out)

    def after(self, spectral: Callable[..., Tensor], v: Tensor) -> Tensor:
        """The pointwise part, v going to skip and gate. spectral: gives the convolution, added to a field if there is
        one."""
        norms = tuple(self.norms)
        if self.mlp is not None and fits(v, self.skip, self.mlp, self.gate, norms):
            return fused(spectral(), v, self.skip, self.mlp, self.gate, self.last)
        gate = None if self.mlp is None else self.gate
        return residual(spectral, v, self.skip, self.mlp, gate, norms, self.last)


def residual(
    onto: Field, v: Tensor, skip: Field, mlp: Field | None, gate: Tensor | None, norms: Sequence[Field], last: bool
) -> Tensor:
    """y = onto(skip(v)), a = gelu(y), out = gelu(mlp(a) + gate v) (..., C), the last block without both gelu.

    A norm, if any, comes before each of the two gelu. Without an MLP there is no gate either, and a is the result.
    """
    y = onto(skip(v))
    if norms:
        y = norms[0](y)
    if not last:
        y = gelu(y)
    if mlp is None or gate is None:
        return y
    y = mlp(y)
    if not (last or norms):
        return gated_gelu(y, gate, v)
    y = torch.addcmul(y, gate, v)
    if norms:
        y = norms[1](y)
    return y if last else gelu(y)


def fused(s: Tensor, v: Tensor, skip: nn.Module, mlp: MLP, gate: Tensor, last: bool) -> Tensor:
    """`residual` with onto = s + ., where `fits` holds."""
    inputs = (s.contiguous(), v, *weights(skip, *mlp), gate)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Fused.apply(last, *inputs)
    return _forward(last, inputs, keep=False)[0]


def fits(v: Tensor, skip: nn.Module, mlp: nn.Module, gate: Tensor, norms: Sequence[Field]) -> bool:
    """Whether nobody can tell the compiled block from its parts: no norm, no hooks, only parts as they were built, in
    single precision."""
    if norms or not as_built(mlp) or type(skip) is not Pointwise or hooked(skip):
        return False
    return suits(v, *weights(skip, *mlp), gate)


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, last: bool, *inputs: Tensor) -> Tensor:
        out, y = _forward(last, inputs, keep=True)
        ctx.last = last
        ctx.save_for_backward(y, *inputs)
        return out

    @staticmethod
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        y, *inputs = ctx.saved_tensors
        dout, graph = dout.contiguous(), torch.is_grad_enabled()
        if graph or not suits(y, dout, *inputs):  # differentiable, or seen by a transform

            def function(s: Tensor, v: Tensor, w: Tensor, b: Tensor, *others: Tensor) -> Tensor:
                *mlp, gate = others
                skip, chain = partial(pointwise, weight=w, bias=b), lambda a: composed(a, *mlp)
                return residual(s.add, v, skip, chain, gate, (), ctx.last)

            return None, *differentiable(function, inputs, ctx.needs_input_grad[1:], dout, graph)
        return None, *_backward(ctx.last, y, inputs, dout)


def _forward(last: bool, inputs: Sequence[Tensor], keep: bool) -> tuple[Tensor, Tensor]:
    """out, and y where it is kept."""
    block, job, tile = required("block", "job", "tile")
    s, v, w, b, w1, b1, w2, b2, gate = (x.detach() for x in inputs)
    hidden, channels = w1.shape
    out = torch.empty_like(v)
    y = torch.empty_like(v) if keep else out
    team = threads()
    scratch, zeros = v.new_empty(team, block.scratch(channels, hidden)), v.new_zeros(max(channels, hidden))
    weights = _transposed(w), b, _transposed(w1), b1, _transposed(w2), b2, gate.repeat(tile.TILE)
    sizes = v.numel() // channels, channels, hidden, last, keep
    job.run(block.forward, team, 0, tile.TILE, *sizes, scratch, zeros, s, v, *weights, out, y)
    return out, y


def _backward(last: bool, y: Tensor, inputs: Sequence[Tensor], dout: Tensor) -> tuple[Tensor, ...]:
    """The gradients of the inputs."""
    block, job, tile = required("block", "job", "tile")
    _, v, w, _, w1, b1, w2, b2, gate = (x.detach() for x in inputs)
    hidden, channels = w1.shape
    rows = v.numel() // channels
    ds, dv = torch.empty_like(v), torch.empty_like(v)
    team, length = threads(), tile.length(rows)
    scratch, one = v.new_empty(team, block.scratch(channels, hidden)), v.new_zeros(1 + max(channels, hidden))
    one[0] = 1
    sums = v.new_zeros(-(-rows // length), block.parameters(channels, hidden))
    weights = w, w1, _transposed(w1), b1, w2, _transposed(w2), b2, gate.repeat(tile.TILE)
    sizes = rows, channels, hidden, last, length
    job.run(block.backward, team, 0, tile.TILE, *sizes, scratch, one[1:], one, dout, y, v, *weights, ds, dv, sums)
    # by numpy, in order: torch's sum may depend on threads
    total = torch.from_numpy(sums.numpy().sum(0))
    dw, dw1, dw2, db, db2, dg, db1 = total.split([w.numel(), w1.numel(), w2.numel(), *[channels] * 3, hidden])
    return ds, dv, dw.view_as(w), db, dw1.view_as(w1), db1, dw2.view_as(w2), db2, dg


def _transposed(weight: Tensor) -> Tensor:
    return weight.t().contiguous()
