"""Two-dimensional incompressible Navier-Stokes equations in vorticity form on the torus."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.problems.base import Evolution
from pdeops.problems.random_fields import gaussian_field
from pdeops.solvers.steppers import Nonlinearity, Stepper


class NavierStokes2D(Evolution):
    """w_t + u . grad w = viscosity Laplace w + f on [0, length]^2, u = (psi_y, -psi_x), -Laplace psi = w.

    f = forcing (sin(2 pi (x + y) / length) + cos(2 pi (x + y) / length)). Initial vorticity
    w0 / amplitude ~ N(0, 7^(3/2) (-Laplace + 49)^(-5/2)), of zero mean. The advection is formed as
    u . grad w = (d_xx - d_yy)(u v) + d_xy (v^2 - u^2), four transforms (Basdevant, J. Comput. Phys. 50, 1983).

    The published generator of that benchmark draws fields sqrt(2) 7^(3/4) times as large as the paper's formula:
    amplitude = 6.0861 gives those.

    n: nodes per side; horizon: final time; frames: snapshots after the initial one, equally spaced.
    Source: Li et al., Fourier neural operator for parametric PDEs, ICLR 2021, section 5.3 and appendix A.3.3.
    Raises InputError on sizes or parameters out of range.
    """

    name = "ns2d"
    dimensions = 2
    in_names = ("vorticity",)
    out_names = ("vorticity",)

    def __init__(
        self,
        *,
        n: int = 64,
        viscosity: float = 1e-3,
        horizon: float = 50.0,
        frames: int = 50,
        length: float = 1.0,
        forcing: float = 0.1,
        amplitude: float = 1.0,
        solver: Stepper | None = None,
    ) -> None:
        super().__init__(n=n, length=length, horizon=horizon, frames=frames, solver=solver or Stepper())
        if not viscosity >= 0:
            raise InputError(f"problem.viscosity={viscosity}: wanted viscosity >= 0")
        self.viscosity, self.forcing, self.amplitude = viscosity, forcing, amplitude

    @property
    def parameters(self) -> dict[str, float]:
        return {"viscosity": self.viscosity, "forcing": self.forcing}

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        return self.amplitude * gaussian_field(self.grid.space, indices, seed, variance=7**1.5, tau=7.0, alpha=2.5)

    def linear(self, basis: Fourier) -> Tensor:
        return -self.viscosity * basis.k2

    def nonlinear(self, basis: Fourier) -> Nonlinearity:
        kx, ky = basis.k
        inverse_laplacian = 1 / torch.where(basis.k2 > 0, basis.k2, 1.0)
        inverse_laplacian[0, 0] = 0
        to_velocity = torch.stack([1j * ky * inverse_laplacian, -1j * kx * inverse_laplacian])
        difference, mixed = kx * kx - ky * ky, kx * ky
        x, y = basis.points()
        phase = 2 * pi / self.length * (x + y)
        force = basis.from_fine(self.forcing * (torch.sin(phase) + torch.cos(phase)))

        def tendency(w: Tensor) -> Tensor:
            u, v = basis.to_fine(to_velocity * w).unbind(-3)  # the channel axis becomes the two components
            uv, vv_uu = basis.from_fine(torch.stack([u * v, v * v - u * u], dim=-3)).unbind(-3)
            return (difference * uv + mixed * vv_uu + force).unsqueeze(-3)

        return tendency
