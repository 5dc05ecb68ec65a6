"""A function of the place together with its derivatives: what goes through a network in their stead.

A jet holds the Taylor coefficients D^alpha f / alpha! of those alpha that are wanted, `keys`, which hold with one alpha
all below it; one that is missing is zero, and one that is the same at all places may be there once. Sums, products and
functions of jets then are those of truncated Taylor series. Source: Griewank and Walther, Evaluating Derivatives, 2nd
edition (2008), chapter 13.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from math import factorial, prod

from torch import Tensor

Orders = tuple[int, ...]  # of a derivative along each axis
Jet = dict[Orders, Tensor]


def below(orders: Iterable[Orders]) -> list[Orders]:
    """The orders and all that are lower along any axis, from zero on."""
    lower = {alpha for highest in orders for alpha in product(*(range(m + 1) for m in highest))}
    return sorted(lower, key=lambda alpha: (sum(alpha), alpha))


def unit(axis: int, d: int, times: int = 1) -> Orders:
    """The order of the derivative along one axis of d."""
    return tuple(times if i == axis else 0 for i in range(d))


def times(p: Jet, q: Jet, keys: Sequence[Orders]) -> Jet:
    """p q."""
    found: Jet = {}
    for alpha, u in p.items():
        for beta, v in q.items():
            gamma = tuple(map(sum, zip(alpha, beta, strict=True)))
            if gamma in keys:
                found[gamma] = found[gamma] + u * v if gamma in found else u * v
    return found


def composed(slopes: Sequence[Tensor], z: Jet, keys: Sequence[Orders]) -> Jet:
    """f(z), given f^(k)(z_0) / k!, k = 0, 1, .., as far as they are not zero, z_0 being the value of z."""
    zero = keys[0]
    step = {alpha: u for alpha, u in z.items() if alpha != zero}
    found, power = {zero: slopes[0]}, step
    for i, slope in enumerate(slopes[1:]):
        if i:
            power = times(power, step, keys)
        for alpha, u in power.items():
            found[alpha] = found[alpha] + slope * u if alpha in found else slope * u
    return found


def derivative(jet: Jet, alpha: Orders) -> Tensor:
    """D^alpha f, in the shape of f."""
    value = jet[(0,) * len(alpha)]
    return (prod(map(factorial, alpha)) * jet[alpha]).expand_as(value) if alpha in jet else value.new_zeros(value.shape)
