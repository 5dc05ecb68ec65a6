"""The rotating shallow-water equations on a torus."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, PeriodicKernel


@dataclass(kw_only=True, eq=False)
class ShallowWater(Evolution):
    """h_t + div((depth + h) (u, v)) = 0,
    u_t + u u_x + v u_y = coriolis v - gravity h_x + viscosity Laplace u,
    v_t + u v_x + v v_y = -coriolis u - gravity h_y + viscosity Laplace v
    on [0, length]^2, periodic: h is the height above the mean depth, drawn from `initial`; the water starts at rest.

    The mean of h is conserved, and without viscosity the energy mean((depth + h) (u^2 + v^2) + gravity h^2) / 2.
    Source: Vallis, Atmospheric and oceanic fluid dynamics (2017), section 3.1.
    """

    name = "shallow_water"
    dimensions = 2
    out_names = ("height", "velocity_x", "velocity_y")
    coefficients = ("gravity", "depth", "coriolis", "viscosity")
    nonnegative = ("gravity", "depth", "viscosity")

    n: int = 64
    horizon: float = 1.0
    frames: int = 50
    gravity: Coefficient = 1.0
    depth: Coefficient = 1.0
    coriolis: Coefficient = 1.0
    viscosity: Coefficient = 1e-3
    initial: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.5, amplitude=0.1))

    def start_from(self, fields: Tensor) -> Tensor:
        return torch.cat([fields, torch.zeros_like(fields).expand(-1, 2, -1, -1)], dim=1)

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        viscosity = self.coefficient("viscosity", a) * basis.k2
        moving = torch.tensor([0.0, 1.0, 1.0], dtype=basis.k2.dtype, device=basis.k2.device).view(3, 1, 1)
        return -viscosity * moving

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        gravity, depth, coriolis = (self.coefficient(name, a) for name in ("gravity", "depth", "coriolis"))
        dx, dy = (1j * k for k in basis.k)

        def tendency(c: Tensor) -> Tensor:
            h, u, v = c.split(1, dim=-3)
            # u . grad u = grad |u|^2 / 2 - spin (v, -u): two derivatives, and so two transforms, fewer
            fields = basis.to_fine(torch.cat([c, dx * v - dy * u], dim=-3))
            height, east, north, spin = fields.split(1, dim=-3)
            products = [height * east, height * north, spin * east, spin * north, (east**2 + north**2) / 2]
            flux_x, flux_y, spin_u, spin_v, energy = basis.to_modes(torch.cat(products, dim=-3)).split(1, dim=-3)
            head = gravity * h + energy
            h_t = -dx * (flux_x + depth * u) - dy * (flux_y + depth * v)
            u_t = spin_v + coriolis * v - dx * head
            v_t = -spin_u - coriolis * u - dy * head
            return torch.cat([h_t, u_t, v_t], dim=-3)

        return tendency
