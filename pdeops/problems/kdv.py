"""The Korteweg-de Vries equation on a circle."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.flux import burgers_flux
from pdeops.problems.inputs import Inputs, PeriodicKernel


@dataclass(kw_only=True, eq=False)
class KortewegDeVries(Evolution):
    """u_t + (u^2 / 2)_x + dispersion u_xxx = 0 on [0, length], periodic.

    Solitons 3 c sech^2(sqrt(c / (4 dispersion)) (x - c t)). The dispersion 0.0025 on a circle of length 2 gives the
    equation of Zabusky and Kruskal, Phys. Rev. Lett. 15 (1965), with their 0.022^2 rounded to 0.05^2.
    """

    name = "kdv"
    dimensions = 1
    out_names = ("u",)
    coefficients = ("dispersion",)

    n: int = 256
    length: float = 2.0
    frames: int = 100
    dispersion: Coefficient = 0.0025
    initial: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.3))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return 1j * self.coefficient("dispersion", a) * basis.k[0] ** 3

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        return burgers_flux(basis)
