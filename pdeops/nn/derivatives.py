"""Derivatives of functions of the place, all values of a place at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

import torch
from torch import Tensor
from torch.func import jvp

from pdeops.nn.jets import Orders

Values = dict[Orders, Tensor]


def derivatives(function: Callable[[Tensor], Tensor], y: Tensor, orders: Iterable[Orders]) -> Values:
    """D^alpha f(y), y (..., d), for each alpha of `orders`, where the values of f at a place depend on it alone.

    By forward differentiation, nested: an alpha of order m costs 2^m evaluations of f, whatever the number of its
    values, and gives those on its way for nothing. Can itself be differentiated.
    """
    found: Values = {}
    wanted = set(orders)
    for alpha in sorted(wanted, key=sum, reverse=True):
        if alpha in found:
            continue
        chain = _value(function, y.shape[-1])
        for axis, times in enumerate(alpha):
            for _ in range(times):
                chain = _along(axis, chain)
        found |= chain(y)
    return {alpha: found[alpha] for alpha in wanted}


def _value(function: Callable[[Tensor], Tensor], d: int) -> Callable[[Tensor], Values]:
    return lambda y: {(0,) * d: function(y)}


def _along(axis: int, chain: Callable[[Tensor], Values]) -> Callable[[Tensor], Values]:
    """What a chain gives, and the derivatives of that along one more axis."""

    def longer(y: Tensor) -> Values:
        direction = torch.zeros_like(y)
        direction[..., axis] = 1
        values, slopes = cast(tuple[Values, Values], jvp(chain, (y,), (direction,)))
        for alpha, slope in slopes.items():
            values[*alpha[:axis], alpha[axis] + 1, *alpha[axis + 1 :]] = slope
        return values

    return longer
