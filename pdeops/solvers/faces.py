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

    return tuple(_faces(inner(k, grid, but=d), grid, d, mean) for d in range(grid.ndim))


def _faces(k: Tensor, grid: Grid, d: int, mean: Mean) -> Tensor:
    axis, along, h = grid[d], d + 1, spacing(grid[d])
    first, last = k.narrow(along, 0, 1), k.narrow(along, axis.n - 1, 1)
    line = torch.cat([last, k, first], dim=along) if axis.periodic else k
    n = line.shape[along]
    if mean == "harmonic":
        resistance = line.reciprocal()
        faces = (2 / h**2) / (resistance.narrow(along, 0, n - 1) + resistance.narrow(along, 1, n - 1))
    else:
        faces = (line.narrow(along, 0, n - 1) + line.narrow(along, 1, n - 1)) * (0.5 / h**2)
    if not axis.periodic and axis.bc != "dirichlet":
        faces = torch.cat([torch.zeros_like(first), faces, torch.zeros_like(last)], dim=along)
    elif axis.nodes == "cell" and not axis.periodic:
        faces = torch.cat([2 / h**2 * first, faces, 2 / h**2 * last], dim=along)
    return faces * areas(grid, d).to(faces)


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
