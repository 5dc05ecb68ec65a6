"""Fourier neural operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from pdeops.bases.tables import Name, bases
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.models.neuralop_weights import load_neuralop
from pdeops.nn.block import Block, Norm
from pdeops.nn.coordinates import coordinates
from pdeops.nn.mixing import Weights
from pdeops.nn.mlp import MLP
from pdeops.nn.on_grids import check_axes, check_growth, check_input, for_each_axis, nodes_wanted
from pdeops.nn.spectral_conv import SpectralConv, Transform


class FNO(nn.Module):
    """v_0 = P(a, x), v_{l+1} = gelu(MLP(gelu(S_l v_l + W_l v_l)) + g_l v_l), u = Q(v_L).

    S_l is a spectral convolution, W_l a pointwise linear map, g_l a gate per channel; the last block has
    neither of its two gelu. In one, two or three dimensions. Another resolution of `a` goes through the same
    operator. `out`, another grid of the same axes: the last spectral convolution is evaluated there and its
    skip is interpolated by the whole series of the same bases.

    width: channels C; modes: kept coefficients per axis (frequencies: both signs together), one for all axes or one
    each; depth: number of blocks; mlp_ratio: hidden width of a block's MLP over C (0: no MLP and no gate);
    lifting_ratio, projection_ratio: hidden widths of P and Q over C; coordinates: append x, scaled to [0, 1], to the
    input (without it, on periodic axes, the operator commutes with translations); padding: zeros appended to the
    lifted field along Fourier axes that are not periodic, as a fraction of their nodes, and cut off before Q, so that
    opposite ends do not touch; basis: "fourier", or on axes that are not periodic "cosine", "sine", "chebyshev",
    "legendre" or "eigen" (see `bases.tables`), which need no padding, one for all axes or one each; weights, rank: of
    the spectral weights (see `nn.mixing`); norm: of S_l v_l + W_l v_l and of a block's end, over a sample's nodes and a
    quarter of the channels ("group") or each channel ("instance"); recompute: keep only what enters the blocks for the
    backward pass.

    Source: Li et al., ICLR 2021, section 4, in the block form of neuraloperator 2.0, whose weights
    `load_neuralop` accepts. Raises InputError on sizes and names out of range and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 32,
        modes: int | Sequence[int] = 16,
        depth: int = 4,
        mlp_ratio: float = 0.5,
        lifting_ratio: float = 2.0,
        projection_ratio: float = 2.0,
        coordinates: bool = True,
        padding: float = 0.0,
        basis: Name | Sequence[Name] = "fourier",
        weights: Weights = "dense",
        rank: float = 0.42,
        norm: Norm = "none",
        recompute: bool = False,
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        check_axes(type(self).__name__, grid_in, grid_out)
        check_growth(type(self).__name__, grid_in, grid_out)
        if min(width, depth) < 1:
            raise InputError(f"model.width={width}, model.depth={depth}: both must be at least 1")
        hidden = {"lifting_ratio": round(lifting_ratio * width), "projection_ratio": round(projection_ratio * width)}
        for name, size in hidden.items():
            if size < 1:
                raise InputError(
                    f"model.{name} times model.width={width} gives {size} hidden channels: wanted at least 1"
                )
        if mlp_ratio < 0:
            raise InputError(f"model.mlp_ratio={mlp_ratio}: wanted at least 0 (none)")
        if padding < 0:
            raise InputError(f"model.padding={padding}: wanted a fraction of at least 0")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.grid_in, self.grid_out = grid_in, grid_out
        self.width, self.depth, self.mlp_ratio = width, depth, mlp_ratio
        self.modes = for_each_axis("modes", modes, grid_in)
        self.basis: tuple[Name, ...] = for_each_axis("basis", basis, grid_in)
        if min(self.modes) < 1:
            raise InputError(f"model.modes={list(self.modes)}: wanted at least one mode per axis")
        if not 0 < rank <= 1:
            raise InputError(f"model.rank={rank}: wanted a share of the dense parameters, 0 < rank <= 1")
        self.lifting_ratio, self.projection_ratio = lifting_ratio, projection_ratio
        self.coordinates, self.padding = coordinates, padding
        self.weights, self.rank, self.norm, self.recompute = weights, rank, norm, recompute
        if norm not in get_args(Norm):
            raise InputError(f"model.norm={norm!r}; wanted one of {get_args(Norm)}")
        if norm == "group" and width % 4:
            raise InputError(f"model.norm=group has four groups of channels; model.width={width} is no multiple of 4")

        self._check_nodes(grid_in.shape, grid_out.shape)

        features = in_channels + (d if coordinates else 0)
        self.lifting = MLP(features, hidden["lifting_ratio"], width)
        self.blocks = nn.ModuleList()
        for l in range(depth):
            conv = SpectralConv(width, width, self.modes, bases=bases(grid_in, self.basis), weights=weights, rank=rank)
            self.blocks.append(Block(conv, width, round(mlp_ratio * width), norm, last=l == depth - 1))
        self.projection = MLP(width, hidden["projection_ratio"], out_channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out)."""
        check_input(self, a)
        v = a
        if self.coordinates:
            x = coordinates(self.grid_in, a.shape[2:], a)
            v = torch.cat([a, x.expand(a.shape[0], *x.shape)], dim=1)
        v = self.run(self.lifting, v.movedim(1, -1))
        v = padded(v, self.extra(v.shape[1:-1]))
        n_out = self._resolution(a.shape[2:], out)
        if out is not None:
            self._check_padding(a.shape[2:], n_out)
        n_whole = tuple(n + extra for n, extra in zip(n_out, self.extra(n_out), strict=True))
        for block in self.blocks:
            same = not block.last or n_whole == tuple(v.shape[1:-1])
            v = self.run(block, v, None if same else self._transform().interpolate(v, n_whole))
        for dim, n in enumerate(n_out, start=1):
            if n < v.shape[dim]:  # else its gradient would be a copy
                v = v.narrow(dim, 0, n)
        return self.run(self.projection, v).movedim(-1, 1)

    def _transform(self) -> Transform:
        return Transform(bases(self.grid_in, self.basis))

    def run(self, part: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """part(*inputs), which is computed again for the backward pass if it shall be."""
        if self.recompute and torch.is_grad_enabled():
            return checkpoint(part, *inputs, use_reentrant=False)
        return part(*inputs)

    def _check_padding(self, n_in: Sequence[int], n_out: Sequence[int]) -> None:
        """The padded lattices of both sizes must span the same length."""
        extra_in, extra_out = self.extra(n_in), self.extra(n_out)
        for axis, n, m, e, f in zip(self.grid_in, n_in, n_out, extra_in, extra_out, strict=True):
            if e * m != f * n:
                raise InputError(
                    f"axis {axis.name!r}: padding {n} nodes by {e} and {m} by {f} gives different lengths; choose a "
                    f"number of nodes of which model.padding={self.padding:g} is a whole number"
                )

    def extra(self, n: Sequence[int]) -> tuple[int, ...]:
        """Nodes that padding appends to each axis; to other numbers of nodes, those nearest to the same period."""
        axes = zip(self.grid_in, self.basis, n, strict=True)
        return tuple(
            0 if axis.periodic or basis != "fourier" else round(round(self.padding * axis.n) * k / axis.n)
            for axis, basis, k in axes
        )

    def _resolution(self, n_in: Sequence[int], out: Grid | Tensor | None) -> tuple[int, ...]:
        n = nodes_wanted(self, n_in, out)
        if out is not None:
            self._check_nodes(n_in, n)
        return n

    def _check_nodes(self, n_in: Sequence[int], n_out: Sequence[int]) -> None:
        for axis, basis, n, m in zip(self.grid_out, self.basis, n_in, n_out, strict=True):
            if n != m and basis == "fourier" and axis.nodes in ("uniform", "chebyshev"):
                other = "chebyshev" if axis.nodes == "chebyshev" else "cosine"
                raise InputError(
                    f"axis {axis.name!r} has {axis.nodes} nodes, {n} in and {m} out: a Fourier series goes by their "
                    "indices, and other numbers of them have another period. Give an input of the resolution wanted, "
                    f"or train with model.basis={other}."
                )

    def load_neuralop(self, state: Mapping[str, Any]) -> FNO:
        """Take over the weights of a neuraloperator 2.0 FNO, as `neuralop_weights.load_neuralop` says."""
        load_neuralop(self, state)
        return self


def padded(v: Tensor, extra: Sequence[int]) -> Tensor:
    """(B, *n, C) with so many zeros appended to each axis."""
    return pad(v, [0, 0, *(e for k in reversed(extra) for e in (0, k))]) if any(extra) else v
