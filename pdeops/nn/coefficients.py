"""Networks on the coefficients of fields, (B, *modes, C), as published with Neural Spectral Methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.expansions import Expansion, Series
from pdeops.bases.waves import FourierSeries
from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.coordinates import coordinates
from pdeops.nn.on_grids import check_input, for_each_axis
from pdeops.nn.on_lattice import OnLattice, evolves, inputs
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.tables import along

Activation = Callable[[Tensor], Tensor]


def published_series(lattice: Grid) -> Expansion:
    """Fourier series on periodic axes, Chebyshev polynomials on others: as many as there are nodes."""
    series: list[Series] = [FourierSeries(axis) if axis.periodic else ChebyshevSeries(axis) for axis in lattice]
    return Expansion(series)


def checked_modes(modes: int | Sequence[int], grid: Grid) -> tuple[int, ...]:
    """One number for each axis. Raises InputError on fewer than four."""
    found = for_each_axis("modes", modes, grid)
    if min(found) < 4:
        raise InputError(f"model.modes={list(found)}: wanted at least 4 per axis")
    return found


def features_of(in_channels: int, grid_in: Grid, grid_out: Grid) -> int:
    """Channels that go into the network: the input's, of a history those of its frames, and the axes' coordinates."""
    return in_channels * (grid_in[0].n if evolves(grid_in, grid_out) else 1) + grid_out.ndim


def features(model: OnLattice, a: Tensor) -> tuple[Tensor, Tensor]:
    """Of an input: these channels at the nodes of the model's lattice, (B, *nodes, C), and the coordinates alone."""
    check_input(model, a)
    v = inputs(model, a, model.lattice)
    x = coordinates(model.lattice, model.lattice.shape, v).movedim(0, -1)
    return torch.cat([v, x.expand(*v.shape[:-1], -1)], -1), x


class Dense(Pointwise):
    """z W^T + b with b on *every* coefficient, LeCun's normal initial weights."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out)
        nn.init.normal_(self.weight, std=n_in**-0.5)
        nn.init.zeros_(self.bias)


class CoefficientNetwork(nn.Module):
    """act(Dense) 4 h, act(Dense) h, the layers, act(Dense) h, act(Dense) 4 h, Dense."""

    def __init__(
        self, features: int, width: int, outputs: int, layers: Sequence[nn.Module], activation: Activation
    ) -> None:
        super().__init__()
        self.activation = activation
        self.first = nn.ModuleList([Dense(features, 4 * width), Dense(4 * width, width)])
        self.layers = nn.ModuleList(layers)
        self.last = nn.ModuleList([Dense(width, width), Dense(width, 4 * width), Dense(4 * width, outputs)])

    def forward(self, z: Tensor) -> Tensor:
        for dense in self.first:
            z = self.activation(dense(z))
        for layer in self.layers:
            z = self.activation(layer(z))
        for dense in self.last[:-1]:
            z = self.activation(dense(z))
        return self.last[-1](z)


class Nodes:
    """Between values at the nodes of a series' axes and as many coefficients, both channels-last (B, *n, C)."""

    def __init__(self, series: Expansion) -> None:
        self.series = series.series

    def to_modes(self, v: Tensor) -> Tensor:
        for i, one in enumerate(self.series, 1):
            v = along(_table((one, True), (), v.dtype, v.device), v, i)
        return v

    def to_values(self, z: Tensor) -> Tensor:
        for i, one in enumerate(self.series, 1):
            z = along(_table((one, False), (), z.dtype, z.device), z, i)
        return z

    def relu(self, z: Tensor) -> Tensor:
        """T relu(T^-1 z): two transforms of every channel."""
        return self.to_modes(torch.relu(self.to_values(z)))


@constant
def _table(what: tuple[Series, bool], sizes: tuple[()], dtype: torch.dtype, device: torch.device) -> Tensor:
    series, analysis = what
    table = series.analysis() if analysis else series.values(series.axis.points())
    return table.to(device, dtype).contiguous()
