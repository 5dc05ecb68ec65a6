"""Two-dimensional incompressible Navier-Stokes equations in velocity form on the torus."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Tendency
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.vorticity import biot_savart, torque


@dataclass(kw_only=True, eq=False)
class NavierStokes2DVelocity(NavierStokes2D):
    """u_t = P (-div(u (x) u) + f) + viscosity Laplace u - drag u on [0, length]^2, div u = 0: P is the orthogonal
    projection onto fields without divergence, so there is no pressure.

    The same flows as those of `NavierStokes2D`: `initial` draws vorticities, `forcing` gives the curl of f, and both
    stand for the velocities without mean and divergence that have that curl. A mean velocity in an input is kept (but
    for the drag).
    The curl of the residual is the residual of the curl, so that its L2 norm is the H^-1 norm, without the mean, of
    the vorticity form's. The part of a field that has a divergence is outside of the equation; it counts as if it
    decayed within one snapshot distance (`Evolution.residual`).
    Source: Temam, Navier-Stokes equations and nonlinear functional analysis (1995), sections 2 and 3.
    """

    name = "ns2d_velocity"
    out_names = ("velocity_x", "velocity_y")

    def start_from(self, fields: Tensor) -> Tensor:
        basis = self.basis(self.solved_on)
        to_velocity = biot_savart(basis)
        # one by one: batched transforms differ in the last digit with the batch's size
        return torch.cat([basis.to_values(to_velocity * basis.to_modes(w)) for w in fields.split(1)])

    def admissible(self, basis: Fourier, c: Tensor) -> Tensor:
        """Those without divergence."""
        return basis.solenoidal(c)

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        to_velocity, curl = biot_savart(basis), torque(basis, self.forcing)
        return lambda c: to_velocity * curl(c)
