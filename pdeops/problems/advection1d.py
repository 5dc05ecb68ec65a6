"""Linear advection on a circle."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, PeriodicKernel


@dataclass(kw_only=True, eq=False)
class Advection1D(Evolution):
    """u_t + speed u_x = 0 on [0, length], periodic: u(t, x) = u(0, x - speed t), which exponential schemes solve
    exactly in any step."""

    name = "advection1d"
    dimensions = 1
    out_names = ("u",)
    coefficients = ("speed",)

    n: int = 128
    frames: int = 40
    speed: Coefficient = 1.0
    initial: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.2))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return -1j * self.coefficient("speed", a) * basis.k[0]

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        return torch.zeros_like
