"""The viscous Burgers equation on a circle."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.problems.base import Evolution
from pdeops.problems.random_fields import gaussian_field
from pdeops.solvers.steppers import Nonlinearity, Stepper


class Burgers1D(Evolution):
    """u_t + (u^2 / 2)_x = viscosity u_xx on [0, length], periodic, u(0) ~ N(0, 625 (-Laplace + 25)^-2) of zero mean.

    n: nodes; horizon: final time; frames: snapshots after the initial one, equally spaced.
    Source: Li et al., Fourier neural operator for parametric PDEs, ICLR 2021, section 5.1.
    Raises InputError on sizes or parameters out of range.
    """

    name = "burgers1d"
    dimensions = 1
    in_names = ("u",)
    out_names = ("u",)

    def __init__(
        self,
        *,
        n: int = 1024,
        viscosity: float = 0.1,
        horizon: float = 1.0,
        frames: int = 1,
        length: float = 1.0,
        solver: Stepper | None = None,
    ) -> None:
        super().__init__(n=n, length=length, horizon=horizon, frames=frames, solver=solver or Stepper(dt=1e-3))
        if not viscosity >= 0:
            raise InputError(f"problem.viscosity={viscosity}: wanted viscosity >= 0")
        self.viscosity = viscosity

    @property
    def parameters(self) -> dict[str, float]:
        return {"viscosity": self.viscosity}

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        return gaussian_field(self.grid.space, indices, seed, variance=625.0, tau=5.0, alpha=2.0)

    def linear(self, basis: Fourier) -> Tensor:
        return -self.viscosity * basis.k2

    def nonlinear(self, basis: Fourier) -> Nonlinearity:
        flux = -0.5j * basis.k[0]
        return lambda u: flux * basis.from_fine(basis.to_fine(u).square())
