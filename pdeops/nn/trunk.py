"""Trunks: networks that give functions of the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial, prod
from typing import Protocol

from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.derivatives import derivatives
from pdeops.nn.jets import Jet, Orders
from pdeops.nn.perceptron import Activation, Perceptron, check_layers
from pdeops.nn.places import features, size


class Trunk(Protocol):
    """What describes a trunk, and builds it."""

    def build(self, grid: Grid, functions: int, members: int = 1) -> nn.Module:
        """A module from places (..., d) in the units of `grid` to values (..., members functions), the members being
        networks with weights of their own; by operators that can be differentiated forwards."""


@dataclass(frozen=True)
class Dense:
    """A perceptron of the place, its last layer activated.

    widths: of the hidden layers; harmonics: a periodic axis enters by cos(2 pi k s), sin(2 pi k s), k = 1 ..
    harmonics, s being the place scaled to [0, 1], so that functions are periodic (0: by s, as other axes do).
    Raises InputError on sizes and names out of range.
    """

    widths: Sequence[int] = (128, 128)
    activation: Activation = "relu"
    harmonics: int = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", check_layers("model.trunk", self.widths, self.activation))
        if self.harmonics < 0:
            raise InputError(f"model.trunk.harmonics={self.harmonics}: wanted at least 0")

    def build(self, grid: Grid, functions: int, members: int = 1) -> nn.Module:
        return _Dense(self, grid, functions, members)


class _Dense(nn.Module):
    def __init__(self, of: Dense, grid: Grid, functions: int, members: int) -> None:
        super().__init__()
        self.grid, self.harmonics = grid.resized((2,) * grid.ndim), of.harmonics
        sizes = size(grid, of.harmonics), *of.widths, functions
        self.net = Perceptron(sizes, of.activation, members=members, activated=True)

    def forward(self, y: Tensor) -> Tensor:
        return self.jet(y, [(0,) * self.grid.ndim])[(0,) * self.grid.ndim]

    def jet(self, y: Tensor, keys: Sequence[Orders]) -> Jet:
        x = features(y.flatten(0, -2), self.grid, self.harmonics, keys)
        found = self.net.jet({alpha: u.to(self.net.weights[0]) for alpha, u in x.items()}, keys)
        return {alpha: u.unflatten(0, y.shape[:-1]) for alpha, u in found.items()}


def jet(trunk: nn.Module, y: Tensor, keys: Sequence[Orders]) -> Jet:
    """A trunk's functions with derivatives `keys`: its own `jet`, or by forward differentiation of any."""
    if len(keys) == 1:
        return {keys[0]: trunk(y)}
    if isinstance(trunk, _Dense):
        return trunk.jet(y, keys)
    found = derivatives(trunk, y, keys)
    return {alpha: found[alpha] / prod(map(factorial, alpha)) for alpha in keys}
