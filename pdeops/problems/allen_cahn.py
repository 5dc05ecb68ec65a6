"""The Allen-Cahn equation on a circle: phases that separate and coarsen."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, PeriodicKernel


@dataclass(kw_only=True, eq=False)
class AllenCahn(Evolution):
    """u_t = diffusivity u_xx + rate (u - u^3) on [0, length], periodic.

    Source of the default coefficients: Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378 (2019), section 4.2.
    """

    name = "allen_cahn"
    dimensions = 1
    degree = 3
    out_names = ("u",)
    coefficients = ("diffusivity", "rate")
    nonnegative = coefficients

    n: int = 256
    length: float = 2.0
    frames: int = 100
    diffusivity: Coefficient = 1e-4
    rate: Coefficient = 5.0
    initial: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.2))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return self.coefficient("rate", a) - self.coefficient("diffusivity", a) * basis.k2

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        rate = self.coefficient("rate", a)
        return lambda u: -rate * basis.to_modes(basis.to_fine(u) ** 3)
