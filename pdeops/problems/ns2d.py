"""Two-dimensional incompressible Navier-Stokes equations in vorticity form on the torus."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, Matern
from pdeops.problems.vorticity import Diagonal, Forcing, advection


@dataclass(kw_only=True, eq=False)
class NavierStokes2D(Evolution):
    """w_t + u . grad w = viscosity Laplace w - drag w + f on [0, length]^2, u = (psi_y, -psi_x), -Laplace psi = w.

    By default the FNO benchmark: w(0) ~ N(0, 7^(3/2) (-Laplace + 49)^(-5/2)) of zero mean, diagonal forcing. The
    generator published with it draws fields sqrt(2) 7^(3/4) times as large as that formula: initial.amplitude=6.0861
    gives those.

    Source: Li et al., Fourier neural operator for parametric PDEs, ICLR 2021, section 5.3 and appendix A.3.3.
    """

    name = "ns2d"
    dimensions = 2
    out_names: ClassVar[tuple[str, ...]] = ("vorticity",)
    coefficients = ("viscosity", "drag")
    nonnegative = coefficients

    n: int = 64
    horizon: float = 50.0
    frames: int = 50
    viscosity: Coefficient = 1e-3
    drag: Coefficient = 0.0
    forcing: Forcing | None = field(default_factory=Diagonal)
    initial: Inputs = field(default_factory=lambda: Matern(variance=7**1.5, tau=7.0, alpha=2.5))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return -self.coefficient("viscosity", a) * basis.k2 - self.coefficient("drag", a)

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        return advection(basis, self.forcing)
