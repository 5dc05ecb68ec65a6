"""The viscous Burgers equation on a circle."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.flux import burgers_flux
from pdeops.problems.inputs import Inputs, Matern


@dataclass(kw_only=True, eq=False)
class Burgers1D(Evolution):
    """u_t + (u^2 / 2)_x = viscosity u_xx on [0, length], periodic, u(0) ~ N(0, 625 (-Laplace + 25)^-2) of zero mean.

    Source: Li et al., Fourier neural operator for parametric PDEs, ICLR 2021, section 5.1.
    """

    name = "burgers1d"
    dimensions = 1
    out_names = ("u",)
    coefficients = ("viscosity",)
    nonnegative = coefficients

    n: int = 1024
    frames: int = 1
    viscosity: Coefficient = 0.1
    initial: Inputs = field(default_factory=lambda: Matern(variance=625.0, tau=5.0, alpha=2.0))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return -self.coefficient("viscosity", a) * basis.k2

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        return burgers_flux(basis)
