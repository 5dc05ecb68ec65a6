"""The Fisher-KPP equation on a circle: fronts that spread."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, PeriodicKernel, UnitRange


@dataclass(kw_only=True, eq=False)
class ReactionDiffusion(Evolution):
    """u_t = diffusivity u_xx + rate u (1 - u) on [0, length], periodic, u(0) from 0 to 1.

    Source: Du, Chalapathi and Krishnapriyan, Neural spectral methods, ICLR 2024, with rate 5 and the diffusivities
    0.005, 0.01, 0.05 and 0.1.
    """

    name = "reaction_diffusion"
    dimensions = 1
    out_names = ("u",)
    coefficients = ("diffusivity", "rate")
    nonnegative = coefficients

    n: int = 128
    frames: int = 64
    diffusivity: Coefficient = 0.01
    rate: Coefficient = 5.0
    initial: Inputs = field(default_factory=lambda: UnitRange(of=PeriodicKernel(width=0.2)))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return self.coefficient("rate", a) - self.coefficient("diffusivity", a) * basis.k2

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        rate = self.coefficient("rate", a)
        return lambda u: -rate * basis.to_modes(basis.to_fine(u).square())
