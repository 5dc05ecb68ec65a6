"""Perceptrons of any depth, several of them side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import factorial, sqrt
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.nn.derivatives import derivatives
from pdeops.nn.jets import Jet, Orders, composed

Activation = Literal["relu", "tanh", "gelu", "silu", "elu"]
FUNCTIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
}


class Perceptron(nn.Module):
    """z_0 = x, z_(l+1) = f(z_l W_l + b_l), the last layer without f unless `activated`; (..., sizes[0]) -> (...,
    members sizes[-1]), the outputs of one member after those of another.

    members: how many networks of these sizes, with weights of their own, read the same x; together they take one
    product a layer. Weights start as Glorot's normal numbers, of variance 2 / (n_in + n_out), biases at zero.
    Source: Glorot and Bengio, AISTATS 2010, equation 12, for the variance.
    """

    def __init__(
        self, sizes: Sequence[int], activation: Activation, *, members: int = 1, activated: bool = False
    ) -> None:
        super().__init__()
        self.members, self.activation, self.activated = members, activation, activated
        pairs = list(pairwise(sizes))
        lead = () if members == 1 else (members,)
        self.weights = nn.ParameterList(torch.randn(*lead, n, m) * sqrt(2 / (n + m)) for n, m in pairs)
        self.biases = nn.ParameterList(torch.zeros(*lead, 1, m) for _, m in pairs)

    def forward(self, x: Tensor) -> Tensor:
        return self.jet({(): x.flatten(0, -2)}, [()])[()].unflatten(0, x.shape[:-1])

    def jet(self, x: Jet, keys: Sequence[Orders]) -> Jet:
        """The same of rows (N, sizes[0]) with derivatives `keys`, as `nn.jets` has them."""
        last, zero, alone = len(self.weights) - 1, keys[0], self.members == 1
        affine = torch.addmm if alone else torch.baddbmm
        z = x if alone else {alpha: u.expand(self.members, -1, -1) for alpha, u in x.items()}
        for l, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = {alpha: affine(bias, u, weight) if alpha == zero else u @ weight for alpha, u in z.items()}
            if l < last or self.activated:
                z = composed(_slopes(self.activation, z[zero], max(map(sum, keys))), z, keys)
        return z if alone else {alpha: u.transpose(0, 1).flatten(1) for alpha, u in z.items()}


def _slopes(activation: Activation, z: Tensor, order: int) -> list[Tensor]:
    """f^(k)(z) / k! for k = 0 .. order, as far as they are not zero."""
    f = FUNCTIONS[activation]
    if order == 0:
        return [f(z)]
    if activation == "relu":
        return [f(z), (z > 0).to(z)]
    if activation == "tanh" and order <= 2:
        t = f(z)
        slope = 1 - t * t
        return [t, slope, -t * slope][: order + 1]
    found = derivatives(lambda line: f(line.squeeze(-1)), z.unsqueeze(-1), [(k,) for k in range(order + 1)])
    return [found[k,] / factorial(k) for k in range(order + 1)]


def check_layers(where: str, widths: Sequence[int], activation: str) -> tuple[int, ...]:
    """The hidden widths as a tuple. Raises InputError on a width below one and on another activation."""
    if any(width < 1 for width in widths):
        raise InputError(f"{where}.widths={list(widths)}: wanted at least 1, each")
    if activation not in get_args(Activation):
        raise InputError(f"{where}.activation={activation!r}; wanted one of {get_args(Activation)}")
    return tuple(widths)
