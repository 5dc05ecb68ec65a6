"""Kolmogorov flow: two-dimensional turbulence driven by a shear."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import pi

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, McWilliams
from pdeops.problems.vorticity import Forcing, Kolmogorov, advection
from pdeops.solvers.steppers import Stepper


@dataclass(kw_only=True, eq=False)
class KolmogorovFlow(Evolution):
    """w_t + u . grad w = Laplace w / reynolds - drag w - kappa cos(kappa y) on [0, length]^2, kappa = 2 pi 4 / length:
    the curl of the body force (sin(kappa y), 0) - drag u. The flow is chaotic: hence the tolerance of 1e-4.

    Source: Kochkov et al., Machine learning-accelerated computational fluid dynamics, PNAS 118 (2021), with
    reynolds = 1 / viscosity for unit velocities on a torus of side 2 pi.
    """

    name = "kolmogorov"
    dimensions = 2
    out_names = ("vorticity",)
    coefficients = ("reynolds", "drag")
    nonnegative = coefficients

    n: int = 64
    length: float = 2 * pi
    start: float = 5.0
    horizon: float = 10.0
    frames: int = 50
    resolution: int | None = 128
    reynolds: Coefficient = 1000.0
    drag: Coefficient = 0.1
    forcing: Forcing = field(default_factory=Kolmogorov)
    initial: Inputs = field(default_factory=McWilliams)
    solver: Stepper = field(default_factory=lambda: Stepper(tolerance=1e-4))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reynolds == 0:
            raise InputError("problem.reynolds=0: wanted reynolds > 0")

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return -basis.k2 / self.coefficient("reynolds", a) - self.coefficient("drag", a)

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        return advection(basis, self.forcing)
