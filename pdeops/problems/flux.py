"""The flux of Burgers' equation, which other equations on a circle share."""

from __future__ import annotations

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Tendency


def burgers_flux(basis: Fourier) -> Tendency:
    """u -> -(u^2 / 2)_x in coefficients: two transforms."""
    flux = -0.5j * basis.k[0]
    return lambda u: flux * basis.to_modes(basis.to_fine(u).square())
