"""Advection and forcing of two-dimensional flows in vorticity form, w = v_x - u_y, (u, v) = (psi_y, -psi_x)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Tendency


class Forcing(ABC):
    """The curl of a body force."""

    @abstractmethod
    def __call__(self, basis: Fourier) -> Tensor:
        """Values on the finer lattice of the basis."""


@dataclass(frozen=True, kw_only=True)
class Diagonal(Forcing):
    """amplitude (sin(2 pi (x + y) / length) + cos(2 pi (x + y) / length)): that of the FNO benchmark."""

    amplitude: float = 0.1

    def __call__(self, basis: Fourier) -> Tensor:
        x, y = basis.points()
        phase = 2 * pi / basis.grid[0].length * (x + y)
        return self.amplitude * (torch.sin(phase) + torch.cos(phase))


@dataclass(frozen=True, kw_only=True)
class Kolmogorov(Forcing):
    """The curl -amplitude kappa cos(kappa y) of the body force (amplitude sin(kappa y), 0),
    kappa = 2 pi wavenumber / length."""

    amplitude: float = 1.0
    wavenumber: int = 4

    def __call__(self, basis: Fourier) -> Tensor:
        x, y = basis.points()
        kappa = 2 * pi / basis.grid[1].length * self.wavenumber
        return -self.amplitude * kappa * torch.cos(kappa * y + 0 * x)


def biot_savart(basis: Fourier) -> Tensor:
    """The factors (2, *spectrum) that take vorticity to the velocities without mean and divergence that have it:
    (i k_y, -i k_x) / |k|^2."""
    kx, ky = basis.k
    inverse_laplacian = 1 / torch.where(basis.k2 > 0, basis.k2, torch.inf)
    return torch.stack([1j * ky * inverse_laplacian, -1j * kx * inverse_laplacian])


def torque(basis: Fourier, forcing: Forcing | None) -> Tendency:
    """(u, v) -> curl(-div((u, v) (x) (u, v)) + force) in coefficients, (..., 2, *spectrum) -> (..., 1, *spectrum), as
    -(d_xx - d_yy)(u v) - d_xy (v^2 - u^2) + f: four transforms. It holds with a divergence, too.

    Source: Basdevant, J. Comput. Phys. 50 (1983).
    """
    kx, ky = basis.k
    # complex like the fields, so that no product converts them anew
    difference, mixed = (torch.complex(k + 0 * basis.k2, 0 * basis.k2) for k in (kx * kx - ky * ky, kx * ky))
    force = basis.to_modes(forcing(basis)) if forcing else torch.zeros_like(difference)

    def tendency(velocity: Tensor) -> Tensor:
        u, v = basis.to_fine(velocity).unbind(-3)
        products = torch.stack([u * v, torch.addcmul(v * v, u, u, value=-1)], dim=-3)
        uv, vv_uu = basis.to_modes(products).unbind(-3)
        return torch.addcmul(torch.addcmul(force, difference, uv), mixed, vv_uu).unsqueeze(-3)

    return tendency


def advection(basis: Fourier, forcing: Forcing | None) -> Tendency:
    """w -> -u . grad w + f in coefficients."""
    to_velocity, curl = biot_savart(basis), torque(basis, forcing)
    return lambda w: curl(to_velocity * w)  # the channel axis becomes the two components
