"""Branches: networks that read a field and give numbers that describe it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from pdeops.bases.tables import Name, bases
from pdeops.constants import constant
from pdeops.errors import InputError, check_positive
from pdeops.grid import Grid
from pdeops.nn.attention import Attention, FeedForward, check_heads, log_measure
from pdeops.nn.block import Block
from pdeops.nn.coordinates import coordinates
from pdeops.nn.mlp import MLP
from pdeops.nn.on_grids import for_each_axis
from pdeops.nn.perceptron import FUNCTIONS, Activation, Perceptron, check_layers
from pdeops.nn.spectral_conv import SpectralConv


class Branch(Protocol):
    """What describes a branch, and builds it. any_lattice: whether it then reads fields on any nodes, or those of its
    grid alone."""

    any_lattice: ClassVar[bool]

    def build(self, in_channels: int, grid: Grid, features: int, members: int = 1) -> nn.Module:
        """A module (B, in_channels, *grid) -> (B, members features), the members being networks with weights of their
        own, one after the other."""


class Separate(nn.ModuleList):
    """Networks (B, ...) -> (B, features), one after the other: (B, members features)."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__(members)

    def forward(self, a: Tensor) -> Tensor:
        return torch.cat([member(a) for member in self], -1)


@dataclass(frozen=True)
class Dense:
    """A perceptron of the values at all nodes, its last layer linear.

    widths: of the hidden layers; stacked: a network for each feature, instead of one for all.
    Source: Lu et al., Nature Machine Intelligence 3 (2021), figure 1C and D. Raises InputError on sizes and names out
    of range.
    """

    any_lattice: ClassVar[bool] = False

    widths: Sequence[int] = (128, 128)
    activation: Activation = "relu"
    stacked: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", check_layers("model.branch", self.widths, self.activation))

    def build(self, in_channels: int, grid: Grid, features: int, members: int = 1) -> nn.Module:
        if self.stacked:
            features, members = 1, features * members
        sizes = in_channels * prod(grid.shape), *self.widths, features
        return nn.Sequential(nn.Flatten(), Perceptron(sizes, self.activation, members=members))


@dataclass(frozen=True)
class Convolutional:
    """Convolutions without padding, then a perceptron of what is left at all nodes, its last layer linear.

    channels: of each convolution; kernel, stride: their nodes and steps along each axis; widths: of the perceptron's
    hidden layers. Convolutions start as torch has them.
    Source: Lu et al., CMAME 393 (2022), the Darcy flow of section 4. Raises InputError on sizes and names out of range,
    and at `build` where no node is left.
    """

    any_lattice: ClassVar[bool] = False

    channels: Sequence[int] = (64, 128)
    kernel: int = 5
    stride: int = 2
    widths: Sequence[int] = (128,)
    activation: Activation = "relu"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", check_layers("model.branch", self.widths, self.activation))
        object.__setattr__(self, "channels", tuple(self.channels))
        check_positive("model.branch", kernel=self.kernel, stride=self.stride)
        if not self.channels or min(self.channels) < 1:
            raise InputError(f"model.branch.channels={list(self.channels)}: wanted one number or more, each at least 1")

    def build(self, in_channels: int, grid: Grid, features: int, members: int = 1) -> nn.Module:
        if not 1 <= grid.ndim <= 3:
            raise InputError(f"a convolutional branch works on 1 to 3 axes; this grid has {grid.ndim}: {grid.names}")
        left = grid.shape
        for _ in self.channels:
            left = tuple((n - self.kernel) // self.stride + 1 if n >= self.kernel else 0 for n in left)
        if not all(left):
            raise InputError(
                f"{len(self.channels)} convolutions of model.branch.kernel={self.kernel}, "
                f"model.branch.stride={self.stride} leave no node of {' x '.join(map(str, grid.shape))}: take fewer "
                "model.branch.channels, or smaller kernels and strides"
            )
        return Separate(_Convolutional(self, in_channels, left, features) for _ in range(members))


class _Convolutional(nn.Module):
    def __init__(self, of: Convolutional, in_channels: int, left: Sequence[int], features: int) -> None:
        super().__init__()
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[len(left) - 1]
        pairs = zip((in_channels, *of.channels), of.channels, strict=False)
        self.convolutions = nn.ModuleList(kind(n, m, of.kernel, of.stride) for n, m in pairs)
        self.head = Perceptron((of.channels[-1] * prod(left), *of.widths, features), of.activation)
        self.activation = of.activation

    def forward(self, a: Tensor) -> Tensor:
        for convolution in self.convolutions:
            a = FUNCTIONS[self.activation](convolution(a))
        return self.head(a.flatten(1))


@dataclass(frozen=True)
class Spectral:
    """b_k = int Q_k(v(x)) dx / volume, v = blocks(P(a, x)): blocks of a Fourier neural operator, and a mean over the
    domain by the grid's quadrature weights. It converges as nodes become more, so it reads fields on any lattice.

    width: channels; modes: kept frequencies per axis, both signs together, one for all axes or one each; depth: of
    blocks; projection: hidden width of Q. Raises InputError on sizes out of range.
    """

    any_lattice: ClassVar[bool] = True

    width: int = 32
    modes: int | Sequence[int] = 16
    depth: int = 2
    projection: int = 128

    def __post_init__(self) -> None:
        if not isinstance(self.modes, int):
            object.__setattr__(self, "modes", tuple(self.modes))
        check_positive("model.branch", width=self.width, depth=self.depth, projection=self.projection)

    def build(self, in_channels: int, grid: Grid, features: int, members: int = 1) -> nn.Module:
        modes = for_each_axis("branch.modes", self.modes, grid)
        fourier: list[Name] = ["fourier"] * grid.ndim
        if min(modes) < 1:
            raise InputError(f"model.branch.modes={list(modes)}: wanted at least one mode per axis")

        def blocks() -> nn.Module:
            convolutions = (
                SpectralConv(self.width, self.width, modes, bases=bases(grid, fourier)) for _ in range(self.depth)
            )
            return nn.Sequential(*(Block(conv, self.width, 0) for conv in convolutions))

        sizes = in_channels, self.width, self.projection, features
        return Separate(_Mean(grid, blocks(), *sizes) for _ in range(members))


@dataclass(frozen=True)
class Attentive:
    """`Spectral` with the layers of a transformer neural operator instead: (1 + F)(1 + A), A an attention between the
    nodes by their quadrature weights, F a perceptron at each. Its cost grows with the square of the nodes.

    width: channels; heads: of each attention; depth: of layers; hidden: width of F; projection: hidden width of Q.
    Raises InputError on sizes out of range.
    """

    any_lattice: ClassVar[bool] = True

    width: int = 32
    heads: int = 4
    depth: int = 2
    hidden: int = 64
    projection: int = 128

    def __post_init__(self) -> None:
        sizes = {"width": self.width, "depth": self.depth, "hidden": self.hidden, "projection": self.projection}
        check_positive("model.branch", **sizes)
        check_heads(self.width, self.heads, of="model.branch")

    def build(self, in_channels: int, grid: Grid, features: int, members: int = 1) -> nn.Module:
        sizes = in_channels, self.width, self.projection, features
        return Separate(_Mean(grid, _Transformer(self, grid), *sizes) for _ in range(members))


class _Transformer(nn.Module):
    def __init__(self, of: Attentive, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.attentions = nn.ModuleList(Attention(of.width, of.heads) for _ in range(of.depth))
        self.perceptrons = nn.ModuleList(FeedForward(of.width, of.hidden) for _ in range(of.depth))

    def forward(self, v: Tensor) -> Tensor:
        """(B, *n, C)"""
        weights = log_measure(self.grid.resized(v.shape[1:-1]))
        weights = None if weights is None else weights.to(v.device)
        tokens = v.flatten(1, -2)
        for attention, perceptron in zip(self.attentions, self.perceptrons, strict=True):
            tokens = perceptron(attention(tokens, weights))
        return tokens.view(v.shape)


class _Mean(nn.Module):
    """int Q(layers(P(a, x))) dx / volume, P and Q perceptrons at every node."""

    def __init__(
        self, grid: Grid, layers: nn.Module, in_channels: int, width: int, projection: int, features: int
    ) -> None:
        super().__init__()
        self.grid = grid
        self.lifting = MLP(in_channels + grid.ndim, 2 * width, width)
        self.layers = layers
        self.projection = MLP(width, projection, features)

    def forward(self, a: Tensor) -> Tensor:
        n = a.shape[2:]
        x = coordinates(self.grid, n, a)
        v = self.lifting(torch.cat([a, x.expand(a.shape[0], *x.shape)], 1).movedim(1, -1))
        values = self.projection(self.layers(v)).flatten(1, -2)
        share = _shares(self.grid.resized((2,) * len(n)), tuple(n), values.dtype, values.device)
        return torch.einsum("n,bnk->bk", share, values)


@constant
def _shares(grid: Grid, n: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(N): the parts of the volume that the nodes stand for."""
    return (grid.resized(n).weights() / grid.volume).flatten().to(device, dtype)
