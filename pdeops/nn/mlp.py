"""A perceptron with one hidden layer, in one compiled pass over tiles of rows where `activation` has compiled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn

from pdeops.nn.activation import GELU, gelu, required, suits, threads
from pdeops.nn.pointwise import Pointwise, pointwise


class MLP(nn.Sequential):
    """gelu(x W1^T + b1) W2^T + b2 on the channels of every node, (B, *n, n_in) -> (B, *n, n_out)."""

    def __init__(self, n_in: int, hidden: int, n_out: int) -> None:
        super().__init__(Pointwise(n_in, hidden), GELU(), Pointwise(hidden, n_out))

    def forward(self, x: Tensor) -> Tensor:
        if not (as_built(self) and x.device.type == "cpu"):
            return super().forward(x)
        inputs = (x.contiguous(), *weights(*self))
        hidden, n_in = inputs[1].shape
        if not (x.ndim > 2 and x.shape[-1] == n_in and hidden > 0 and suits(*inputs)):
            return super().forward(inputs[0])
        needed = torch.is_grad_enabled() and any(x.requires_grad for x in inputs)
        return _Fused.apply(*inputs) if needed else _forward(*inputs)


def as_built(chain: nn.Module) -> TypeGuard[MLP]:
    """Whether this is an `MLP` whose parts nobody has changed or listens to, and neither a compiler nor autocast wants
    other operators."""
    if torch.compiler.is_compiling() or type(chain) is not MLP or torch.is_autocast_enabled("cpu"):
        return False
    return tuple(map(type, chain)) == (Pointwise, GELU, Pointwise) and not any(map(hooked, chain.modules()))


def hooked(part: nn.Module) -> bool:
    """Whether somebody listens to what a module does."""
    everywhere = nn.modules.module._has_any_global_hook()
    own = part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
    return bool(own) or everywhere


def weights(*layers: nn.Module) -> list[Tensor]:
    """The weight and the bias of each `Pointwise` among these modules."""
    found: list[Any] = [getattr(layer, name) for layer in layers for name in ("weight", "bias") if hasattr(layer, name)]
    return found


def composed(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    """`MLP` of these weights, by torch's operators."""
    return pointwise(gelu(pointwise(x, w1, b1)), w2, b2)


def differentiable(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], needed: Sequence[bool], dy: Tensor, graph: bool
) -> list[Any]:
    """The gradients of function(*inputs) for those inputs that need one, else None, on their own graph if `graph`.

    Of views, which nothing else is made of: an input may itself depend on another one, whose gradient would else count
    that way too, as whoever asks for these gradients does.
    """
    with torch.enable_grad():
        own = [x.view_as(x) for x in inputs]
        wanted = [x for x, need in zip(own, needed, strict=True) if need]
        found = iter(torch.autograd.grad(function(*own), wanted, dy, create_graph=graph))
    return [next(found) if need else None for need in needed]


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        return _forward(*inputs)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        inputs, dy, graph = ctx.saved_tensors, dy.contiguous(), torch.is_grad_enabled()
        if graph or not suits(inputs[0], dy, *inputs):  # differentiable, or seen by a transform
            return tuple(differentiable(composed, inputs, ctx.needs_input_grad, dy, graph))
        return _backward(ctx.needs_input_grad[0], dy, *inputs)


def _forward(x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> Tensor:
    mlp, job, tile = required("mlp", "job", "tile")
    x, w1, b1, w2, b2 = (t.detach() for t in (x, w1, b1, w2, b2))
    (hidden, n_in), n_out = w1.shape, len(w2)
    team, y = threads(), x.new_empty(*x.shape[:-1], n_out)
    scratch, zeros = x.new_empty(team, mlp.scratch(hidden)), x.new_zeros(max(hidden, n_out))
    sizes = x.numel() // n_in, n_in, hidden, n_out
    factors = w1.t().contiguous(), b1, w2.t().contiguous(), b2
    job.run(mlp.forward, team, 0, tile.TILE, *sizes, scratch, zeros, x, *factors, y)
    return y


def _backward(wanted: bool, dy: Tensor, x: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Any, ...]:
    mlp, job, tile = required("mlp", "job", "tile")
    x, w1, b1, w2, b2 = (t.detach() for t in (x, w1, b1, w2, b2))
    (hidden, n_in), n_out = w1.shape, len(w2)
    team, rows = threads(), x.numel() // n_in
    dx, length = torch.empty_like(x) if wanted else x, tile.length(rows)
    scratch, one = x.new_empty(team, mlp.scratch(hidden)), x.new_zeros(1 + max(hidden, n_in, n_out))
    one[0] = 1
    parts = n_in * hidden, n_out * hidden, hidden, n_out
    sums = x.new_zeros(-(-rows // length), sum(parts))
    sizes, factors = (rows, n_in, hidden, n_out, length, wanted), (w1, w1.t().contiguous(), b1, w2)
    job.run(mlp.backward, team, 0, tile.TILE, *sizes, scratch, one[1:], one, dy, x, *factors, dx, sums)
    # by numpy, in order: torch's sum may depend on threads
    dw1, dw2, db1, db2 = torch.from_numpy(sums.numpy().sum(0)).split(parts)
    return dx if wanted else None, dw1.view(n_in, hidden).t().contiguous(), db1, dw2.view(n_out, hidden), db2
