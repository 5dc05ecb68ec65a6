"""Neural spectral method: a function of the whole domain, given by its values on a lattice of few nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from pdeops.bases.expansions import Expansion, Series
from pdeops.bases.lifts import check_walls, outward
from pdeops.bases.polynomials import NEUMANN, Ends, LegendreSeries, ShenSeries
from pdeops.bases.tables import Name, bases
from pdeops.bases.waves import FourierSeries
from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.block import Block
from pdeops.nn.coordinates import coordinates
from pdeops.nn.mixing import Weights
from pdeops.nn.mlp import MLP
from pdeops.nn.on_grids import check_axes, check_input, check_sizes, for_each_axis
from pdeops.nn.on_lattice import evolves, finer, inputs, lattice_of, output, smoothed, vanishes
from pdeops.nn.spectral_conv import SpectralConv

Time = Literal["axis", "channels"]
Head = Literal["plain", "inverse_laplacian"]


class NSM(nn.Module):
    """u(x) = sum_k c_k phi_k(x), c = T Q(v_L), v_0 = P(a, x), v_{l+1} = gelu(S_l v_l + W_l v_l) on `nodes` per axis,
    whatever the resolution of `a` and of what is asked for.

    The series of u satisfies the conditions of its axes for any weights: along periodic axes it is Fourier's, along
    others it has the polynomials that vanish (or whose slopes do) at both ends of dirichlet (neumann) axes, or that
    satisfy `conditions`, by axis [[alpha, beta], [alpha, beta]] of alpha u + beta du/dn = 0 at its first and its last
    end, n outwards (data on walls are added by `Problem.constrain`). Where a
    history comes in and later frames are wanted (`data.window.history=time`), u(t) = w + (t - t_0) / T N(t), w the last
    frame, N the series. Pointwise work is done on values, and transforms are those of the spectral convolutions S alone
    (`nn.spectral_conv`, in the FNO's blocks). No path from `a` to the series is linear.

    `collocation`: the lattice on which a residual of u is to be formed, `oversampling` times as fine, so that a
    product of as many factors is resolved; there values come in double precision. `out`: any grid of the same axes
    within the domain, or points (N, d), (B, N, d).

    width, depth, lifting_ratio, projection_ratio, mlp_ratio, weights, rank: as in `FNO`; modes: coefficients that S
    mixes per axis, at most what `nodes` hold; basis: of S per axis (`bases.tables`), "auto": fourier on periodic axes,
    eigen on others, legendre in time; coordinates: append those of all axes (cosine and sine on periodic ones), or of
    axes that are not periodic alone, and the operator commutes with translations along the others; time: of an
    evolution, an "axis" of the network's lattice, or "channels": the network is one of space, its last layer gives N at
    the nodes in time; head: of fields without time, "inverse_laplacian" puts (-Laplace)^-1 N in the place of N, in
    units of its largest factor.

    Source: Du, Chalapathi and Krishnapriyan, ICLR 2024 (arXiv 2312.05225), whose own formulation is
    `models.nsm_published`. Raises InputError on sizes out of range, other axes, places outside of the domain, and
    inputs of the wrong shape.
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
        nodes: int | Sequence[int] = 32,
        depth: int = 4,
        mlp_ratio: float = 0.0,
        lifting_ratio: float = 2.0,
        projection_ratio: float = 2.0,
        basis: str | Sequence[str] = "auto",
        weights: Weights = "dense",
        rank: float = 0.42,
        coordinates: bool = True,
        time: Time = "axis",
        head: Head = "plain",
        oversampling: float = 2.0,
        conditions: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ) -> None:
        super().__init__()
        check_axes(type(self).__name__, grid_in, grid_out)
        check_sizes(width=width, depth=depth)
        if not oversampling >= 1:
            raise InputError(f"model.oversampling={oversampling}: wanted at least 1")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.grid_in, self.grid_out = grid_in, grid_out
        self.width, self.depth, self.mlp_ratio = width, depth, mlp_ratio
        self.lifting_ratio, self.projection_ratio = lifting_ratio, projection_ratio
        self.modes = for_each_axis("modes", modes, grid_out)
        self.nodes = for_each_axis("nodes", nodes, grid_out)
        self.basis: tuple[str, ...] = for_each_axis("basis", basis, grid_out)
        self.weights, self.rank = weights, rank
        self.coordinates, self.time, self.oversampling = coordinates, time, oversampling
        self.head = head
        for name, sizes, least in (("modes", self.modes, 1), ("nodes", self.nodes, 4)):
            if min(sizes) < least:
                raise InputError(f"model.{name}={list(sizes)}: wanted at least {least} per axis")

        if time not in get_args(Time):
            raise InputError(f"model.time={time!r}; wanted one of {get_args(Time)}")
        if head not in get_args(Head):
            raise InputError(f"model.head={head!r}; wanted one of {get_args(Head)}")
        grows = evolves(grid_in, grid_out)
        if head != "plain" and grid_out.time is not None:
            raise InputError(f"model.head={head} is for fields without time")
        if time == "channels" and not grows:
            raise InputError("model.time=channels is for later frames than the history's (data.window.history=time)")
        if grows and in_channels < out_channels:
            raise InputError(f"{in_channels} channels in, {out_channels} out: of an evolution the states come first")
        self.lattice = lattice_of(grid_out, self.nodes)
        self.conditions = conditions
        ends = {name: outward(sides) for name, sides in (conditions or {}).items()}
        check_walls(self.lattice, ends)
        self.series = Expansion([_series(axis, ends.get(axis.name)) for axis in self.lattice])
        frames = grid_in[0].n if grows else 1
        self.inner = self.lattice.space if time == "channels" else self.lattice
        d = self.inner.ndim
        if any(m > axis.n for m, axis in zip(self.modes[-d:], self.inner, strict=True)):
            raise InputError(
                f"model.modes={list(self.modes)}: more than the nodes hold, model.nodes={list(self.nodes)}. Lower "
                "modes, or raise nodes"
            )
        places = sum(1 if not axis.periodic else 2 * coordinates for axis in self.inner)
        names = [_basis(axis, name) for axis, name in zip(self.inner, self.basis[-d:], strict=True)]
        chosen = bases(self.inner, names, ends)
        self.lifting = MLP(frames * in_channels + places, round(lifting_ratio * width), width)
        self.blocks = nn.ModuleList(
            Block(
                SpectralConv(width, width, self.modes[-d:], bases=chosen, weights=weights, rank=rank),
                width,
                round(mlp_ratio * width),
            )
            for _ in range(depth)
        )
        instants = 1 if time == "axis" else self.nodes[0]
        self.projection = MLP(width, round(projection_ratio * width), instants * out_channels)

    @property
    def walls(self) -> bool:
        """Whether the output itself is zero on walls, so that zero must be zero in physical units."""
        return vanishes(self)

    @property
    def collocation(self) -> Grid:
        """Where a residual of the output is to be formed."""
        return finer(self, self.oversampling)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out, or N)."""
        return output(self, self.coefficients(a), a, out)

    def coefficients(self, a: Tensor) -> Tensor:
        """Those of the output's series, (B, out_channels, *modes), float64, wherever it is wanted."""
        check_input(self, a)
        v = inputs(self, a, self.inner)
        places = _places((self.inner, self.coordinates), (), v.dtype, v.device)
        v = self.lifting(torch.cat([v, places.expand(*v.shape[:-1], -1)], -1))
        for block in self.blocks:
            v = block(v)
        u = self.projection(v)
        if self.time == "channels":
            u = u.unflatten(-1, (self.nodes[0], -1)).movedim(-2, 1)
        # in single precision second derivatives would have noise of 1e-2 (63 nodes)
        c = self.series.to_modes(u.movedim(-1, 1).double())
        return c if self.head == "plain" else smoothed(self.series, c)


def _series(axis: Axis, ends: Ends | None) -> Series:
    """All functions of the nodes that satisfy the conditions at their ends, or the one of the axis."""
    if ends is not None:
        return ShenSeries(axis, first=ends[0], last=ends[1])
    match axis.bc:
        case "periodic":
            return FourierSeries(axis)
        case "dirichlet":
            return ShenSeries(axis)
        case "neumann":
            return ShenSeries(axis, first=NEUMANN, last=NEUMANN)
    return LegendreSeries(axis)


def _basis(axis: Axis, name: str) -> Name:
    """ "auto" diagonalises -d^2/dx^2 in space."""
    if name != "auto":
        return name  # type: ignore[return-value]
    return "fourier" if axis.periodic else "legendre" if axis.name == "time" else "eigen"


@constant
def _places(what: tuple[Grid, bool], sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(*nodes, features): the coordinates of axes that are not periodic, in [0, 1]; cos and sin of periodic ones, if
    all are wanted."""
    grid, everywhere = what
    scaled = coordinates(grid, grid.shape, torch.empty((), dtype=torch.float64))
    features = [torch.empty(*grid.shape, 0, dtype=torch.float64)]
    for axis, s in zip(grid, scaled.unsqueeze(-1), strict=True):
        if not axis.periodic:
            features.append(s)
        elif everywhere:
            features += [(2 * pi * s).cos(), (2 * pi * s).sin()]
    return torch.cat(features, -1).to(device, dtype)
