"""Face coefficients of conservative second-order discretisations on boxes."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.solvers.volumes import areas, inner, spacing

Mean = Literal["harmonic", "arithmetic"]
Fluxes = Literal["exponential", "upwind", "central"]


def conductances(k: Tensor, grid: Grid, mean: Mean = "harmonic") -> tuple[Tensor, ...]:
    """The faces of -div(k grad u) for `FiniteVolumes`, per axis (B, *unknowns) with one more along it, from k (B, *grid) on
    the nodes: mean(k_i, k_(i+1)) / h^2, and towards a Dirichlet value half a cell away 2 k / h^2, times the relative area of
    the face. mean: harmonic, 2 k l / (k + l), which is exact for layers that meet at the face, or arithmetic.

    Raises InputError on another mean.
    """
    if mean not in get_args(Mean):
        raise InputError(f"problem.mean={mean!r}; wanted one of {get_args(Mean)}")

    def joined(a: Tensor, b: Tensor) -> Tensor:
        return 2 * a * b / (a + b) if mean == "harmonic" else (a + b) / 2

    return tuple(_faces(inner(k, grid, but=d), grid, d, joined) for d in range(grid.ndim))


def _faces(line: Tensor, grid: Grid, d: int, joined) -> Tensor:
    axis, d_ = grid[d], d + 1
    n = axis.n
    faces = joined(line.narrow(d_, 0, n - 1), line.narrow(d_, 1, n - 1))
    first, last = line.narrow(d_, 0, 1), line.narrow(d_, n - 1, 1)
    if axis.periodic:
        wrap = joined(last, first)
        faces = torch.cat([wrap, faces, wrap], dim=d_)
    elif axis.bc != "dirichlet":
        faces = torch.cat([torch.zeros_like(first), faces, torch.zeros_like(last)], dim=d_)
    elif axis.nodes == "cell":
        faces = torch.cat([2 * first, faces, 2 * last], dim=d_)
    return faces * areas(grid, d).to(faces) / spacing(axis) ** 2
