"""The Kuramoto-Sivashinsky equation on a circle and on a torus: spatio-temporal chaos."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Evolution, Tendency
from pdeops.problems.flux import burgers_flux
from pdeops.problems.inputs import Inputs, PeriodicKernel


@dataclass(kw_only=True, eq=False)
class KuramotoSivashinsky(Evolution):
    """u_t + (u^2 / 2)_x + u_xx + u_xxxx = 0 on [0, length], periodic; chaotic from lengths of about 22 on.

    Nearby solutions part like exp(0.1 t), at length 64: the tolerance holds for the stored horizon.
    Source: Kassam and Trefethen, SIAM J. Sci. Comput. 26 (2005), section 4.
    """

    name = "kuramoto_sivashinsky"
    dimensions = 1
    out_names = ("u",)

    n: int = 128
    length: float = 64.0
    start: float = 25.0
    horizon: float = 75.0
    frames: int = 100
    initial: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.05))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return basis.k2 - basis.k2**2

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        return burgers_flux(basis)


@dataclass(kw_only=True, eq=False)
class KuramotoSivashinsky2D(Evolution):
    """u_t + (|grad u|^2 - its mean) / 2 + Laplace u + Laplace^2 u = 0 on [0, length]^2, periodic, of zero mean.

    The mean of u, which no other mode feels, is held: it would fall without bound.
    Source: Kalogirou, Keaveny and Papageorgiou, Proc. R. Soc. A 471 (2015), equation 1.2, for the square torus.
    """

    name = "kuramoto_sivashinsky2d"
    dimensions = 2
    out_names = ("u",)

    n: int = 64
    length: float = 32.0
    start: float = 10.0
    horizon: float = 20.0
    frames: int = 50
    initial: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.1))

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        return basis.k2 - basis.k2**2

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        gradient = torch.stack([1j * k + 0 * basis.k2 for k in basis.k])
        minus_half = torch.where(basis.k2 > 0, -0.5, 0.0)

        def tendency(u: Tensor) -> Tensor:
            slopes = basis.to_fine(gradient * u)  # the channel axis becomes the two components
            return minus_half * basis.to_modes(slopes.square().sum(-3, keepdim=True))

        return tendency
