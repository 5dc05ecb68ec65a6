"""Fields that are dealt over the processes of a mesh along their first axis: shares of it, and sums over processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from pdeops.errors import InputError


def share(n: int, mesh: DeviceMesh) -> slice:
    """Of n entries those of this process, as `torch.chunk` deals them and DTensor's `Shard`.

    Raises InputError on a mesh of several axes, and where a process would have none.
    """
    if mesh.ndim != 1:
        raise InputError(f"a mesh of {mesh.ndim} axes: a field is dealt along one; take a part of the mesh")
    each = -(-n // mesh.size())
    if each * (mesh.size() - 1) >= n:
        raise InputError(f"{n} entries, {each} for each of {mesh.size()} processes, leave one without any")
    first = each * mesh.get_local_rank()
    return slice(first, min(first + each, n))


def summed(x: Tensor, mesh: DeviceMesh) -> Tensor:
    """The sum over all processes, of which each makes something of its own: backwards gradients are summed as well."""
    return _Summed.apply(x, mesh, False)


def joint(x: Tensor, mesh: DeviceMesh) -> Tensor:
    """The sum over all processes, of which all make the same, a loss: it counts once, and so does its gradient."""
    return _Summed.apply(x, mesh, True)


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mesh: DeviceMesh, once: bool) -> Tensor:
        ctx.mesh, ctx.once = mesh, once
        return _total(x.detach(), mesh)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient if ctx.once else _total(gradient, ctx.mesh), None, None


def _total(x: Tensor, mesh: DeviceMesh) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total, group=mesh.get_group())
    return total
