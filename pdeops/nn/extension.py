"""Fields beyond the ends of their axes, for convolutions: channels-last, (B, *n, C)."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Axis
from pdeops.watched import watched

Boundary = Literal["dirichlet", "neumann", "periodic"]
End = Literal["zero", "wrap", "wall", "node"]
Ends = tuple[End, End]

# where an even field is reflected: about a wall half a spacing beyond the last node, or about the last node
REFLECTIONS: dict[str, Ends] = {
    "cell": ("wall", "wall"),
    "uniform": ("node", "node"),
    "chebyshev": ("node", "node"),
    "left": ("node", "wall"),  # the wall that is not stored lies a spacing beyond: taken as half of one
    "right": ("wall", "node"),
}


def ends(axis: Axis, boundary: Boundary) -> Ends:
    """How a field goes on beyond both ends of an axis: zero; wrapped; even, about the wall or the node there.

    Raises InputError on another boundary, and on one that does not go with the axis' nodes.
    """
    if (boundary == "periodic") != axis.periodic:
        raise InputError(
            f"boundary={boundary!r} of axis {axis.name!r} with {axis.nodes} nodes: periodic nodes and a periodic "
            "boundary go together"
        )
    match boundary:
        case "periodic":
            return "wrap", "wrap"
        case "dirichlet":
            return "zero", "zero"
        case "neumann":
            return REFLECTIONS[axis.nodes]
    raise InputError(f"boundary={boundary!r} of axis {axis.name!r}; wanted dirichlet, neumann or periodic")


def extended(v: Tensor, kinds: tuple[Ends, ...]) -> Tensor:
    """v with one more node at each end of every axis, but those of zeros, which convolutions append themselves."""
    if all(map(_zero, kinds)):
        return v
    return _gathered(v, kinds) if watched() else _Extend.apply(v, kinds)


def _gathered(v: Tensor, kinds: tuple[Ends, ...]) -> Tensor:
    n = v.shape[1:-1]
    nodes = _sources(kinds, tuple(n), torch.int64, v.device)
    return v.flatten(1, -2).index_select(1, nodes).view(v.shape[0], *_wider(kinds, n), v.shape[-1])


class _Extend(torch.autograd.Function):
    """`_gathered`, whose gradient copies the inner nodes and adds the margins alone; torch's own would add every node
    to zeros, in three times the time."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, kinds: tuple[Ends, ...]) -> Tensor:
        ctx.kinds = kinds
        return _gathered(v, kinds)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        dv = dy[(slice(None), *_inner(ctx.kinds))].clone(memory_format=torch.contiguous_format)
        place, source = _margin(ctx.kinds, tuple(dv.shape[1:-1]), torch.int64, dy.device)
        batch, *n, channels = dy.shape  # no flatten: gradients may be batched
        margin = dy.reshape(batch, prod(n), channels).index_select(1, place)
        dv.view(batch, prod(dv.shape[1:-1]), channels).index_add_(1, source, margin)
        return dv, None


def _zero(kind: Ends) -> bool:
    return kind == ("zero", "zero")


@constant
def _sources(kinds: tuple[Ends, ...], n: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """For every node of the extended lattice, in order, the node whose value stands there."""
    nodes = torch.zeros((), dtype=dtype, device=device)
    for kind, k in zip(kinds, n, strict=True):
        line = torch.arange(k, dtype=dtype, device=device)
        if not _zero(kind):
            first = {"wrap": k - 1, "wall": 0, "node": min(1, k - 1)}[kind[0]]
            last = {"wrap": 0, "wall": k - 1, "node": max(k - 2, 0)}[kind[1]]
            line = torch.cat([line.new_tensor([first]), line, line.new_tensor([last])])
        nodes = nodes.unsqueeze(-1) * k + line
    return nodes.flatten()


@constant
def _margin(kinds: tuple[Ends, ...], n: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2, m): the nodes of the extended lattice that are not inner ones, and those whose values stand there."""
    outer = torch.ones(_wider(kinds, n), dtype=torch.bool, device=device)
    outer[_inner(kinds)] = False
    place = outer.flatten().nonzero().flatten()
    return torch.stack([place, _sources(kinds, n, dtype, device)[place]]).to(dtype)


def _inner(kinds: tuple[Ends, ...]) -> tuple[slice, ...]:
    return tuple(slice(None) if _zero(kind) else slice(1, -1) for kind in kinds)


def _wider(kinds: tuple[Ends, ...], n: Sequence[int]) -> list[int]:
    return [k if _zero(kind) else k + 2 for kind, k in zip(kinds, n, strict=True)]
