"""Series of polynomials on an interval: Legendre's, and combinations of them that satisfy conditions at both ends.

With xi = 2 (x - start) / length - 1 in [-1, 1]. Tables are float64, coefficients in columns; all that is integrated is
integrated exactly. Values are read from n Chebyshev nodes, which carry any polynomial of degree below n.

In single precision a second derivative through coefficients has, of sin(3 x) exp(x) on [0, 1] and relative in L2, an
error of 1e-3 with 31 modes, 4e-3 with 48, and of 2 to 10 % with 64 to 96 (in double precision below 1e-8): it grows
as n^4. Take float64 from 48 modes on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.fft
import torch
from numpy.polynomial import chebyshev, legendre
from scipy.linalg import eigh
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Nodes


class Condition(NamedTuple):
    """alpha u + beta du/dx = 0 at one end of an axis; the slope is that along the axis, at either end."""

    alpha: float
    beta: float


Ends = tuple[Condition, Condition]  # the first and the last of an axis
DIRICHLET, NEUMANN = Condition(1.0, 0.0), Condition(0.0, 1.0)


class Fine(NamedTuple):
    """Nodes enough for products: points (q,), values there of the functions (q, modes), and the matrix (modes, q) of
    the L2 projection of a product onto them."""

    points: Tensor
    values: Tensor
    projection: Tensor


class Spectrum(NamedTuple):
    """Eigenvalues (modes,) of -d^2/dx^2, ascending, and in columns the coefficients of eigenfunctions (modes, modes)
    that are orthonormal in L2 and start upwards: stiffness Q = gram Q diag(eigenvalues), Q^T gram Q = 1."""

    eigenvalues: Tensor
    vectors: Tensor


@dataclass(frozen=True)
class LegendreSeries:
    """L_k(xi), k = 0 .. modes - 1 (None: as many as there are nodes). No condition at the ends.

    Raises InputError unless the nodes are chebyshev and modes >= 1.
    """

    axis: Axis
    modes: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_nodes(self.axis, "Legendre", "chebyshev")
        object.__setattr__(self, "modes", checked_modes(self.axis, self.modes, self.axis.n))

    def resized(self, modes: int) -> LegendreSeries:
        return replace(self, modes=modes)

    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """(len(x), modes): the functions' derivatives of an order at any places; order -1: their integrals from the
        start on."""
        c: np.ndarray = np.eye(self.modes)
        c = legendre.legint(c, lbnd=-1) if order < 0 else legendre.legder(c, order) if order < self.modes else c * 0
        vander = legendre.legvander(reference(self.axis, x), len(c) - 1)
        return torch.from_numpy((2 / self.axis.length) ** order * (vander @ c))

    def analysis(self, n: int | None = None) -> Tensor:
        """(modes, n): values at n chebyshev nodes -> coefficients of the L2 projection of the polynomial through
        them."""
        n = n or self.axis.n
        table = np.zeros((self.modes, n))
        table[: min(self.modes, n)] = _from_chebyshev(n)[: self.modes]
        return torch.from_numpy(table)

    def diff(self, order: int = 1) -> Tensor:
        """(modes, modes): coefficients of the derivative."""
        table = np.zeros((self.modes, self.modes))
        if order < self.modes:
            table[: self.modes - order] = legendre.legder(np.eye(self.modes), order)
        return torch.from_numpy((2 / self.axis.length) ** order * table)

    def gram(self) -> Tensor:
        """int L_j L_k dx: the diagonal length / (2 k + 1)."""
        return (self.axis.length / (2 * torch.arange(self.modes, dtype=torch.float64) + 1)).diag()

    def stiffness(self) -> Tensor:
        """int L_j' L_k' dx."""
        d = self.diff()
        return d.T @ self.gram() @ d

    def eigen(self) -> Spectrum:
        """The eigenfunctions in the weak sense: among all polynomials, cosines in the limit (the natural condition)."""
        return _spectrum(self, self.values(torch.tensor([self.axis.start], dtype=torch.float64))[0])

    def fine(self, degree: int = 2) -> Fine:
        """Gauss-Legendre nodes on which products of `degree` series are projected exactly."""
        points, weights = gauss(self.axis, (degree + 1) * (self.modes - 1) // 2 + 1)
        values = self.values(points)
        return Fine(points, values, values.T * weights / self.gram().diagonal()[:, None])


@dataclass(frozen=True)
class ShenSeries:
    """phi_k = L_k + a_k L_{k+1} + b_k L_{k+2}, k = 0 .. modes - 1, that satisfy alpha u + beta u' = 0 at the `first`
    and the `last` end: Dirichlet, Neumann, Robin or mixed. modes=None: n - 2, all polynomials on the nodes that do.

    In them -d^2/dx^2 is diagonal and the mass matrix has five diagonals (three with symmetric conditions).
    Source: Shen, Efficient spectral-Galerkin method I, SIAM J. Sci. Comput. 15 (1994), section 2.
    Raises InputError unless the nodes are chebyshev and modes >= 1, and on conditions that let -d^2/dx^2 have negative
    eigenvalues (wanted: alpha beta <= 0 at the first end, >= 0 at the last).
    """

    axis: Axis
    modes: int = None  # type: ignore[assignment]
    first: Condition = DIRICHLET
    last: Condition = DIRICHLET

    def __post_init__(self) -> None:
        check_nodes(self.axis, "Shen", "chebyshev")
        object.__setattr__(self, "modes", checked_modes(self.axis, self.modes, self.axis.n - 2))
        check_conditions(self.axis, self.first, self.last)

    def resized(self, modes: int) -> ShenSeries:
        return replace(self, modes=modes)

    @property
    def legendre(self) -> LegendreSeries:
        """The polynomials that these are combinations of."""
        return LegendreSeries(self.axis, self.modes + 2)

    def combination(self) -> Tensor:
        """(modes + 2, modes): their coefficients among `legendre`'s."""
        k = np.arange(self.modes, dtype=np.float64)
        one, two, three = k * (k + 1) / 2, (k + 1) * (k + 2) / 2, (k + 2) * (k + 3) / 2  # L' at the last end
        (a0, b0), (a1, b1) = ((c.alpha, c.beta * 2 / self.axis.length) for c in (self.first, self.last))
        # at the last end r_0 + a r_1 + b r_2 = 0, at the first (up to a sign) l_0 - a l_1 + b l_2 = 0
        right = [a1 + b1 * slope for slope in (one, two, three)]
        left = [a0 - b0 * slope for slope in (one, two, three)]
        determinant = right[1] * left[2] + right[2] * left[1]
        a = (right[2] * left[0] - right[0] * left[2]) / determinant
        b = -(right[1] * left[0] + right[0] * left[1]) / determinant
        table = np.zeros((self.modes + 2, self.modes))
        rows = np.arange(self.modes)
        table[rows, rows], table[rows + 1, rows], table[rows + 2, rows] = 1, a, b
        return torch.from_numpy(table)

    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """(len(x), modes), as `LegendreSeries.values`."""
        return self.legendre.values(x, order) @ self.combination()

    def analysis(self, n: int | None = None) -> Tensor:
        """(modes, n): values at n chebyshev nodes -> coefficients of the L2 projection of the polynomial through them
        onto the span, whether or not it satisfies the conditions."""
        moments = self.combination().T @ self.legendre.gram() @ self.legendre.analysis(n)
        return torch.linalg.solve(self.gram(), moments)

    def diff(self, order: int = 1) -> Tensor:
        """Raises InputError: a derivative does not satisfy the conditions."""
        raise InputError(
            f"the derivative of a Shen series of axis {self.axis.name!r} is none, as the conditions are not its own: "
            "take `legendre.diff(order) @ combination()`, its Legendre coefficients, or `values(x, order)`"
        )

    def gram(self) -> Tensor:
        c = self.combination()
        return c.T @ self.legendre.gram() @ c

    def stiffness(self) -> Tensor:
        """-int phi_j'' phi_k dx, the diagonal -(4 k + 6) b_k 2 / length."""
        k = torch.arange(self.modes, dtype=torch.float64)
        return (-2 / self.axis.length * (4 * k + 6) * self.combination().diagonal(-2)).diag()

    def eigen(self) -> Spectrum:
        start, (alpha, beta) = torch.tensor([self.axis.start], dtype=torch.float64), self.first
        return _spectrum(self, (abs(beta) * self.values(start) + abs(alpha) * self.values(start, 1))[0])

    def fine(self, degree: int = 2) -> Fine:
        """Gauss-Legendre nodes on which products of `degree` series are projected exactly."""
        points, weights = gauss(self.axis, (degree + 1) * (self.modes + 1) // 2 + 1)
        values = self.values(points)
        return Fine(points, values, torch.linalg.solve(self.gram(), values.T * weights))


def reference(axis: Axis, x: Tensor) -> np.ndarray:
    """Places on the axis, moved to [-1, 1]."""
    return 2 * (x.detach().double().cpu().numpy() - axis.start) / axis.length - 1


def gauss(axis: Axis, q: int) -> tuple[Tensor, Tensor]:
    """q Gauss-Legendre nodes of the axis and their weights, exact to degree 2 q - 1."""
    x, w, _ = _gauss(q)
    return torch.from_numpy(axis.start + axis.length / 2 * (1 + x)), torch.from_numpy(axis.length / 2 * w)


@lru_cache(maxsize=64)
def _gauss(q: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """On [-1, 1]: nodes, weights, and L_0 .. L_{q-1} at the nodes (q, q)."""
    x = legendre.leggauss(q)[0]
    values = legendre.legvander(x, q - 1)
    return x, 1 / (values**2 @ (np.arange(q) + 0.5)), values  # the library's weights lack three digits


def _spectrum(series: LegendreSeries | ShenSeries, rising: Tensor) -> Spectrum:
    """rising (modes,): what of each function at the start is positive for an eigenfunction."""
    shift, gram = (2 / series.axis.length) ** 2, series.gram()
    # the mass in terms of the (shifted) stiffness: small eigenvalues, which matter, come out with all digits
    inverse, vectors = eigh(gram.numpy(), (series.stiffness() + shift * gram).numpy())
    inverse, vectors = inverse[::-1], vectors[:, ::-1] / np.sqrt(inverse[::-1])
    vectors = vectors * np.sign(rising.numpy() @ vectors)
    return Spectrum(torch.from_numpy(1 / inverse - shift), torch.from_numpy(vectors))


@lru_cache(maxsize=32)
def _from_chebyshev(n: int) -> np.ndarray:
    """(n, n): values at n Chebyshev nodes -> Legendre coefficients, by Gauss quadrature of the polynomial through
    them."""
    x, w, values = _gauss(n)
    c = scipy.fft.dct(np.eye(n)[::-1], 1, axis=0) / (n - 1)  # of Chebyshev polynomials
    c[[0, -1]] /= 2
    return (np.arange(n) + 0.5)[:, None] * (values.T * w) @ chebyshev.chebvander(x, n - 1) @ c


def check_nodes(axis: Axis, family: str, *wanted: Nodes) -> None:
    if axis.nodes not in wanted:
        raise InputError(
            f"a {family} series needs {' or '.join(wanted)} nodes; axis {axis.name!r} has {axis.nodes} ones"
        )


def checked_modes(axis: Axis, modes: int | None, all_of_them: int) -> int:
    modes = all_of_them if modes is None else modes
    if modes < 1:
        raise InputError(f"a series of axis {axis.name!r} with modes={modes}: wanted at least 1")
    return modes


def check_conditions(axis: Axis, first: Condition, last: Condition) -> None:
    for end, (alpha, beta), sign in (("first", first, -1), ("last", last, 1)):
        if alpha == beta == 0 or sign * alpha * beta < 0:
            raise InputError(
                f"axis {axis.name!r}: {alpha:g} u + {beta:g} u' = 0 at the {end} end; wanted alpha beta "
                f"{'<=' if sign < 0 else '>='} 0 there, and not both 0: else -u'' may have negative eigenvalues"
            )
