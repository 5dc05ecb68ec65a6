"""Fast Poisson solvers: -Laplace_h u + shift u = f by sine, cosine and Fourier transforms."""

from __future__ import annotations

from math import inf

import torch
from torch import Tensor

from pdeops.bases.trigonometric import Trigonometric
from pdeops.errors import InputError
from pdeops.grid import Grid

NEGLIGIBLE = 1e-12  # an eigenvalue plus a shift this small, relative to both, is zero up to round-off


class FastPoisson:
    """The solution of (-Laplace_h + shift) u = f for batches of right-hand sides, to round-off.

    u_k = f_k / (lambda_k + shift) in the eigenvectors of second differences (ghosts and weights: `Trigonometric`).

    shift: a real one, or a complex one (an absorbing medium); -kappa^2 for Helmholtz' equation.
    smallest: divisors d of a smaller modulus are replaced by smallest d / |d| (their sign kept; `smallest` itself where
    d is zero). For a preconditioner near an eigenvalue, of an operator of which this is an approximation only; 0, the
    default, solves exactly.

    Where every axis is periodic or Neumann and shift is 0, constants are a null space: with smallest = 0 the solution
    is the one of mean zero, for right-hand sides of mean zero; means are in the basis' weights (half at the ends of
    uniform Neumann axes), in which the operator is symmetric.
    Attributes: `basis`; `singular`, whether there is that null space.
    Raises InputError if -shift is another eigenvalue (to 1e-12 of itself) and smallest is 0; if smallest is negative
    or not finite; and on axes without a trigonometric basis.
    Source: Buzbee, Golub and Nielson, On direct methods for solving Poisson's equations, SIAM J. Numer. Anal. 7
    (1970).
    """

    def __init__(self, grid: Grid, *, shift: complex = 0.0, smallest: float = 0.0) -> None:
        if not 0 <= smallest < inf:
            raise InputError(f"smallest={smallest}; wanted a finite bound on the divisors' modulus, or 0 for none")
        self.basis = Trigonometric(grid)
        divisors = self.basis.eigenvalues + (shift if isinstance(shift, complex) and shift.imag else shift.real)
        missed = divisors.abs() <= NEGLIGIBLE * (self.basis.eigenvalues + abs(shift))
        null = (self.basis.eigenvalues == 0) & (shift == 0)
        self.singular = smallest == 0 and bool(null.any())
        if smallest:
            phase = torch.where(divisors == 0, 1.0, divisors.sgn())
            divisors = torch.where(divisors.abs() < smallest, smallest * phase, divisors)
        elif (missed & ~null).any():
            raise InputError(
                f"shift={shift}: its negative is an eigenvalue of -Laplace_h on {grid}, so that solutions are not "
                "unique. Move the shift, or bound the divisors by `smallest` for a preconditioner."
            )
        self._inverse = torch.where(null, 0.0, 1 / divisors) if self.singular else 1 / divisors
        self._cast: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __call__(self, f: Tensor) -> Tensor:
        """f (..., *unknowns), real or complex, of single or double precision -> u of the same shape; complex if f or
        the shift is.

        Raises InputError on other shapes and, where the operator is singular, if an f has a mean beyond round-off:
        there is no solution. `least_squares` solves for the rest of it.
        """
        u = self._apply(f)
        if self.singular:
            mean = self.mean(f).flatten()
            excess = mean.abs() > 1e3 * torch.finfo(f.dtype).eps * self.mean(f.abs()).flatten()
            if excess.any():
                i = int(excess.nonzero()[0])
                raise InputError(
                    f"right-hand side {i} has the mean {mean[i].item():.3g}; the operator's null space is the "
                    "constants, so that there is no solution. Remove the mean, or call `least_squares`, which returns "
                    "what it removed."
                )
        return u

    def least_squares(self, f: Tensor) -> tuple[Tensor, Tensor]:
        """The solutions for f less its mean, and the means (...) that were removed (zero where none had to be)."""
        u = self._apply(f)
        return u, self.mean(f) if self.singular else f.new_zeros(f.shape[: f.ndim - self.basis.grid.ndim])

    def mean(self, f: Tensor) -> Tensor:
        """Means (...) of f (..., *unknowns) in the basis' weights."""
        weights = self.basis.weights.to(f.device, f.real.dtype)
        return (f * weights).sum(tuple(range(-self.basis.grid.ndim, 0))) / weights.sum()

    def _apply(self, f: Tensor) -> Tensor:
        dtype = f.dtype.to_complex() if self._inverse.is_complex() else f.dtype
        key = (f.device, dtype)
        if key not in self._cast:
            self._cast[key] = self._inverse.to(f.device, dtype if self._inverse.is_complex() else f.real.dtype)
        c = self.basis.to_modes(f)
        return self.basis.to_values(c * self._cast[key])


class ScaledPoisson:
    """A preconditioner of -div(k grad u) + shift k u: k^-1/2 (-Laplace_h + shift)^-1 k^-1/2, for smooth k.

    With u = k^-1/2 v the operator is k^1/2 (-Laplace + Laplace(k^1/2) / k^1/2 + shift) v: what is left out is bounded
    where k is smooth, so that the number of iterations does not depend on the lattice. Not for k that jump.
    Symmetric in the Poisson solver's weights, and positive if that solver is.
    Source: Concus and Golub, Fast direct methods for nonseparable elliptic equations, SIAM J. Numer. Anal. 10 (1973).

    poisson: the solver, for the boundary types and any shift; k: its unknowns' coefficients (*unknowns), or
    (B, *unknowns), one per right-hand side, of the scale of the operator.
    Raises InputError unless k is positive and finite, of one of these shapes.
    """

    def __init__(self, poisson: FastPoisson, k: Tensor) -> None:
        shape = poisson.basis.shape
        if k.shape[-len(shape) :] != shape or k.ndim > len(shape) + 1:
            raise InputError(f"coefficients k {tuple(k.shape)}: wanted {shape}, the unknowns', or a batch of those")
        if not ((k > 0) & (k < inf)).all():
            raise InputError(
                f"coefficients k from {float(k.min()):.3g} to {float(k.max()):.3g}: wanted positive, finite ones"
            )
        self.poisson = poisson
        self._scale = k.rsqrt()

    def __call__(self, r: Tensor) -> Tensor:
        """Residuals (..., *unknowns) -> corrections; constants that the solver cannot invert are left out."""
        return self._scale * self.poisson._apply(self._scale * r)
