"""Exact GELU, x Phi(x), with its passes over large CPU tensors compiled (pip install 'pdeops[fast]').

They take contiguous tensors in single precision. All else is torch's, and so is whatever must see torch's operators:
compilation, export and tracing, transforms of functions, derivatives forwards and of higher order, subclasses of
tensors and dispatch modes. Results are the same to the bit whatever the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional as F

LEAST = 16384  # numbers from which a compiled pass pays


class GELU(nn.Module):
    """`gelu` as a module."""

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x)


def gelu(x: Tensor) -> Tensor:
    """x Phi(x). Compiled, it is infinity and 0 at the infinities, where torch's may not be a number."""
    if not suits(x):
        return F.gelu(x)
    return _Gelu.apply(x) if x.requires_grad and torch.is_grad_enabled() else _gelu(x)


def gated_gelu(m: Tensor, gate: Tensor, v: Tensor) -> Tensor:
    """gelu(m + gate v): m and v (..., C), gate (C,)."""
    if not m.shape == v.shape == (*m.shape[:-1], *gate.shape) or not suits(m, gate, v):
        return gelu(torch.addcmul(m, gate, v))
    needed = m.requires_grad or gate.requires_grad or v.requires_grad
    return _GatedGelu.apply(m, gate, v) if needed and torch.is_grad_enabled() else _gated(m, gate, v)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return _gelu(x)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return _gelu_backward(dy, x)


class _GatedGelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, m: Tensor, gate: Tensor, v: Tensor) -> Tensor:
        ctx.save_for_backward(m, gate, v)
        return _gated(m, gate, v)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        m, gate, v = ctx.saved_tensors
        dy = dy.contiguous()
        if torch.is_grad_enabled() or not suits(dy, m, gate, v):  # differentiable, or seen by a transform
            dm = _gelu_backward(dy, torch.addcmul(m, gate, v))
            return dm, (v * dm).sum_to_size(gate.shape), gate * dm
        job, gated = required("job", "gated")
        n, channels = m.numel(), len(gate)
        rows = gated.rows(channels)
        block = rows * channels
        dm, dv = torch.empty_like(m), torch.empty_like(v)
        sums = torch.zeros(-(-n // (gated.BLOCKS * block)) * rows, channels)
        job.run(gated.backward, threads(), n, block, dy, m, gate.repeat(rows), v, dm, dv, sums)
        # by numpy, in order: torch's sum may depend on threads
        return dm, torch.from_numpy(sums.numpy().sum(0)), dv


def _gelu(x: Tensor) -> Tensor:
    job, kernel = required("job", "gelu")
    x, y = x.detach(), torch.empty_like(x)
    job.run(kernel.forward, threads(), x.numel(), x, y)
    return y


def _gelu_backward(dy: Tensor, x: Tensor) -> Tensor:
    dy = dy.contiguous()
    if torch.is_grad_enabled() or not suits(dy, x):  # differentiable, or seen by a transform
        return torch.ops.aten.gelu_backward(dy, x)
    job, kernel = required("job", "gelu")
    dx = torch.empty_like(x)
    job.run(kernel.backward, threads(), x.numel(), dy, x, dx)
    return dx


def _gated(m: Tensor, gate: Tensor, v: Tensor) -> Tensor:
    job, gated = required("job", "gated")
    rows = gated.rows(len(gate))
    y = torch.empty_like(m)
    job.run(gated.forward, threads(), m.numel(), rows * len(gate), m, gate.detach().repeat(rows), v, y)
    return y


def suits(*tensors: Tensor) -> bool:
    """Whether all are contiguous single-precision numbers in memory, the first one large, numba is here, and nobody
    must see what is done to them."""
    return (
        not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and forward_ad._current_level < 0
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
        and tensors[0].numel() >= LEAST
        and all(_plain(x) for x in tensors)
        and passes("job") is not None
    )


def _plain(x: Tensor) -> bool:
    return (
        type(x) in (Tensor, nn.Parameter)
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and x.layout is torch.strided
        and not torch._C._functorch.is_legacy_batchedtensor(x)  # a gradient of `is_grads_batched`
        and x.is_contiguous()
        and not x.is_neg()
    )


@cache
def passes(*names: str) -> Sequence[ModuleType] | None:
    """These modules of `nn.compiled`, or None where numba is not installed: imported when first needed."""
    try:
        return [import_module(f"pdeops.nn.compiled.{name}") for name in names]
    except ImportError:
        return None


def required(*names: str) -> Sequence[ModuleType]:
    """`passes`, once they are known to be there."""
    made = passes(*names)
    assert made is not None
    return made


_forked = False


def threads() -> int:
    """torch's number of threads; 1 in a forked process, where a pool begun before the fork has no threads."""
    return 1 if _forked else torch.get_num_threads()


def _fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork)
