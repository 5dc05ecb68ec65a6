"""The pointwise part of an FNO's block, compiled as one pass over tiles of rows where `activation` has compiled passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from pdeops.nn.activation import GELU, gated_gelu, gelu, suits, threads
from pdeops.nn.pointwise import Pointwise, pointwise

Field = Callable[[Tensor], Tensor]


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


def fused(s: Tensor, v: Tensor, skip: nn.Module, mlp: nn.Sequential, gate: Tensor, last: bool) -> Tensor:
    """`residual` with onto = s + ., where `fits` holds."""
    inputs = (s.contiguous(), v, skip.weight, skip.bias, mlp[0].weight, mlp[0].bias, mlp[2].weight, mlp[2].bias, gate)
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        return _Fused.apply(last, *inputs)
    return _forward(last, inputs, keep=False)[0]


def fits(v: Tensor, skip: nn.Module, mlp: nn.Sequential | None, gate: Tensor | None, norms: Sequence[Field]) -> bool:
    """Whether nobody can tell the compiled block from its parts: no norm, no hooks, only parts as they were built, in
    single precision and of sizes that are multiples of 16."""
    if mlp is None or gate is None or norms or torch.is_autocast_enabled("cpu"):
        return False
    parts, kinds = (skip, mlp, *mlp), (Pointwise, nn.Sequential, Pointwise, GELU, Pointwise)
    if tuple(type(part) for part in parts) != kinds or any(map(_hooked, parts)):
        return False
    if any(size % 16 for size in (*mlp[0].weight.shape, v.shape[-1])):
        return False
    return suits(v, *skip.parameters(), *mlp.parameters(), gate)


def _hooked(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks)


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
        dout = dout.contiguous()
        if torch.is_grad_enabled() or not suits(dout, y, *inputs):  # differentiable, or seen by a transform
            return None, *_differentiable(ctx.last, inputs, ctx.needs_input_grad[1:], dout)
        return None, *_backward(ctx.last, y, inputs, dout)


def _differentiable(last: bool, inputs: Sequence[Tensor], needed: Sequence[bool], dout: Tensor) -> list[Tensor | None]:
    """The gradients by torch's operators, on the graph of the inputs."""
    graph = torch.is_grad_enabled()
    with torch.enable_grad():
        s, v, w, b, w1, b1, w2, b2, gate = inputs
        first, second = partial(pointwise, weight=w1, bias=b1), partial(pointwise, weight=w2, bias=b2)
        skip = partial(pointwise, weight=w, bias=b)
        out = residual(s.add, v, skip, lambda a: second(gelu(first(a))), gate, (), last)
        wanted = [x for x, need in zip(inputs, needed, strict=True) if need]
        found = iter(torch.autograd.grad(out, wanted, dout, create_graph=graph))
    return [next(found) if need else None for need in needed]


def _forward(last: bool, inputs: Sequence[Tensor], keep: bool) -> tuple[Tensor, Tensor]:
    """out, and y where it is kept."""
    block, job = _required()
    s, v, w, b, w1, b1, w2, b2, gate = (x.detach() for x in inputs)
    hidden, channels = w1.shape
    out = torch.empty_like(v)
    y = torch.empty_like(v) if keep else out
    team = threads()
    scratch, zeros = v.new_empty(team, block.scratch(channels, hidden)), v.new_zeros(max(channels, hidden))
    weights = _transposed(w), b, _transposed(w1), b1, _transposed(w2), b2, gate.repeat(block.TILE)
    sizes = v.numel() // channels, channels, hidden, last, keep
    job.run(block.forward, team, 0, *sizes, scratch, zeros, s, v, *weights, out, y)
    return out, y


def _backward(last: bool, y: Tensor, inputs: Sequence[Tensor], dout: Tensor) -> tuple[Tensor, ...]:
    """The gradients of the inputs."""
    block, job = _required()
    _, v, w, _, w1, b1, w2, b2, gate = (x.detach() for x in inputs)
    hidden, channels = w1.shape
    rows = v.numel() // channels
    ds, dv = torch.empty_like(v), torch.empty_like(v)
    team, length = threads(), block.TILE * -(-rows // (block.TILE * block.CHUNKS))
    scratch, one = v.new_empty(team, block.scratch(channels, hidden)), v.new_zeros(1 + max(channels, hidden))
    one[0] = 1
    sums = v.new_zeros(-(-rows // length), block.parameters(channels, hidden))
    weights = w, w1, _transposed(w1), b1, w2, _transposed(w2), b2, gate.repeat(block.TILE)
    sizes = rows, channels, hidden, last, length
    job.run(block.backward, team, 0, *sizes, scratch, one[1:], one, dout, y, v, *weights, ds, dv, sums)
    # by numpy, in order: torch's sum may depend on threads
    total = torch.from_numpy(sums.numpy().sum(0))
    dw, dw1, dw2, db, db2, dg, db1 = total.split([w.numel(), w1.numel(), w2.numel(), *[channels] * 3, hidden])
    return ds, dv, dw.view_as(w), db, dw1.view_as(w1), db1, dw2.view_as(w2), db2, dg


def _transposed(weight: Tensor) -> Tensor:
    return weight.t().contiguous()


@cache
def _required() -> tuple[ModuleType, ModuleType]:
    from pdeops.nn.compiled import block, job

    return block, job
