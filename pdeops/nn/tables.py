"""A table times each matrix of a batch, compiled for large CPU tensors where `activation` has compiled passes."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from pdeops.nn.activation import required, suits, threads

LEAST, WIDEST = 2, 128  # columns between which the compiled product is the quicker one


def apply(table: Tensor, x: Tensor, onto: Tensor | None = None) -> Tensor:
    """table (r, k), a constant, times every x (B, k, C), added to `onto` (B, r, C)."""
    if x.shape[-1] == 1:  # rows of one matrix: a batch of products with a vector took thirty times as long
        y = (x.squeeze(-1) @ table.t()).unsqueeze(-1)
        return y if onto is None else y + onto
    inputs = (x,) if onto is None else (x, onto)
    if not LEAST <= x.shape[-1] <= WIDEST or not suits(*inputs):
        tables = table.expand(x.shape[0], -1, -1)
        return torch.bmm(tables, x) if onto is None else torch.baddbmm(onto, tables, x)
    return _Apply.apply(table, *inputs)


def along(table: Tensor, v: Tensor, dim: int) -> Tensor:
    """table (r, k), a constant, times v (..., k, ...) along its dimension `dim`: (..., r, ...)."""
    x = v.reshape(prod(v.shape[:dim]), v.shape[dim], prod(v.shape[dim + 1 :]))
    return apply(table, x).view(*v.shape[:dim], table.shape[0], *v.shape[dim + 1 :])


class _Apply(torch.autograd.Function):
    """Linear: its backward is `apply` again, and can be differentiated like it."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, x: Tensor, onto: Tensor | None = None) -> Tensor:
        ctx.table, ctx.added = table, onto is not None
        (batch, inner, columns), rows = x.shape, table.shape[0]
        y, zeros = x.new_empty(batch, rows, columns), _zeros(columns)
        kernel, job = required("table", "job")
        # what is shorter than x is soon read again
        sizes = batch, rows, inner, columns, ctx.added, rows > inner and columns % 16 == 0
        start = zeros if onto is None else onto.detach()
        job.run(kernel.apply, threads(), 0, *sizes, y, start, table, *table.stride(), x.detach(), zeros)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        return None, apply(ctx.table.t(), dy.contiguous()), *([dy] if ctx.added else [])


@cache
def _zeros(columns: int) -> Tensor:
    return torch.zeros(columns)
