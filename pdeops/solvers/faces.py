"""Face coefficients of conservative second-order discretisations on boxes."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.solvers.volumes import areas, inner, spacing

Mean = Literal["harmonic", "arithmetic"]
Fluxes = Literal["exponential", "upwind", "central"]


def conductances(k: Tensor, grid: Grid, mean: Mean = "harmonic") -> tuple[Tensor, ...]:
    """The faces of -div(k grad u) for `FiniteVolumes`, per axis (B, *unknowns) with one more along it, from k (B,
    *grid) on the nodes: mean(k_i, k_(i+1)) / h^2, and towards a Dirichlet value half a cell away 2 k / h^2, times
    the relative area of the face. mean: harmonic, 2 k l / (k + l), which is exact for layers that meet at the face,
    or arithmetic.

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


def exchange(faces: Tensor, peclet: Tensor, fluxes: Fluxes) -> tuple[Tensor, Tensor]:
    """forward and backward of `FiniteVolumes` for diffusion, of conductances `faces`, with transport; peclet: v h /
    diffusivity at the faces, h the distance of the values on both sides.

    faces A(|P|) + max(+-P, 0) faces, with A = 1 - |P| / 2 (central), 1 (upwind) or |P| / (exp |P| - 1) (exponential).
    Source: Patankar, Numerical Heat Transfer and Fluid Flow (1980), table 5.2; exponential: Scharfetter and Gummel,
    IEEE Trans. Electron Devices 16 (1969). Raises InputError on other fluxes.
    """
    size = peclet.abs()
    match fluxes:
        case "central":
            damped = 1 - size / 2
        case "upwind":
            damped = torch.ones_like(size)
        case "exponential":
            small = size < 1e-4  # where expm1 would divide round-off, by the series
            damped = torch.where(small, 1 - size / 2, size / torch.expm1(torch.where(small, 1.0, size)))
        case _:
            raise InputError(f"problem.fluxes={fluxes!r}; wanted one of {get_args(Fluxes)}")
    return faces * (damped + peclet.clamp_min(0)), faces * (damped - peclet.clamp_max(0))
