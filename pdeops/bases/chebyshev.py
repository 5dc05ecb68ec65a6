"""Series of Chebyshev polynomials: those whose transform from Chebyshev nodes is fast."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.polynomial import chebyshev
from torch import Tensor

from pdeops.bases import continuation, tables
from pdeops.bases.polynomials import Fine, LegendreSeries, Spectrum, check_nodes, checked_modes, reference
from pdeops.grid import Axis


@dataclass(frozen=True)
class ChebyshevSeries:
    """T_k(xi), k = 0 .. modes - 1 (None: as many as there are nodes), xi as in `bases.polynomials`, whose limit of
    second derivatives in single precision is that of these, too.

    They are not orthogonal in L2: gram is dense. Raises InputError unless the nodes are chebyshev and modes >= 1.
    """

    axis: Axis
    modes: int = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_nodes(self.axis, "Chebyshev", "chebyshev")
        object.__setattr__(self, "modes", checked_modes(self.axis, self.modes, self.axis.n))

    def resized(self, modes: int) -> ChebyshevSeries:
        return replace(self, modes=modes)

    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """(len(x), modes): the functions' derivatives of an order at any places; order -1: their integrals from the
        start on."""
        c: np.ndarray = np.eye(self.modes)
        c = chebyshev.chebint(c, lbnd=-1) if order < 0 else chebyshev.chebder(c, order) if order < self.modes else c * 0
        vander = chebyshev.chebvander(reference(self.axis, x), len(c) - 1)
        return torch.from_numpy((2 / self.axis.length) ** order * (vander @ c))

    def analysis(self, n: int | None = None) -> Tensor:
        """(modes, n): values at n chebyshev nodes -> coefficients of the polynomial through them, the first of them."""
        n = n or self.axis.n
        kept = min(self.modes, n)
        table = _signs(kept)[:, None] * tables.Trigonometric(False, True).analysis(n, kept).real
        return torch.nn.functional.pad(table, [0, 0, 0, self.modes - kept])

    def diff(self, order: int = 1) -> Tensor:
        """(modes, modes): coefficients of the derivative."""
        table = np.zeros((self.modes, self.modes))
        if order < self.modes:
            table[: self.modes - order] = chebyshev.chebder(np.eye(self.modes), order)
        return torch.from_numpy((2 / self.axis.length) ** order * table)

    def gram(self) -> Tensor:
        """int T_j T_k dx, with int_{-1}^1 T_p = 2 / (1 - p^2) of even p."""
        k = torch.arange(self.modes, dtype=torch.float64)

        def integral(p: Tensor) -> Tensor:
            return torch.where(p % 2 == 0, 2 / (1 - p**2), 0.0)

        return self.axis.length / 4 * (integral(k + k[:, None]) + integral(k - k[:, None]))

    def stiffness(self) -> Tensor:
        """int T_j' T_k' dx."""
        d = self.diff()
        return d.T @ self.gram() @ d

    def eigen(self) -> Spectrum:
        """That of all polynomials, as `LegendreSeries.eigen`."""
        eigenvalues, vectors = self._legendre().eigen()
        return Spectrum(eigenvalues, self._from_legendre() @ vectors)

    def fine(self, degree: int = 2) -> Fine:
        """Gauss-Legendre nodes on which the L2 projection of products of `degree` series is exact."""
        points, _, projection = self._legendre().fine(degree)
        return Fine(points, self.values(points), self._from_legendre() @ projection)

    def analyse(self, u: Tensor) -> Tensor:
        """`analysis` by the FFT: (..., n) -> (..., modes)."""
        c = continuation.analysis(u, False, True)
        c = torch.nn.functional.pad(c, [0, self.modes - c.shape[-1]])
        return c * _signs(self.modes).to(c)

    def synthesise(self, c: Tensor, n: int) -> Tensor:
        """(..., modes) -> values at n nodes (..., n), n >= modes, by the FFT."""
        return continuation.synthesis(c * _signs(self.modes).to(c), n, False, True)

    def _legendre(self) -> LegendreSeries:
        return LegendreSeries(self.axis, self.modes)

    def _from_legendre(self) -> Tensor:
        """(modes, modes): Legendre coefficients -> Chebyshev coefficients."""
        n = max(self.modes, 2)
        return self.analysis(n) @ self._legendre().values(self.axis.resized(n).points())


def _signs(modes: int) -> Tensor:
    """T_k at the first node, where the cosines of `tables` and `continuation` are 1."""
    return 1 - 2.0 * (torch.arange(modes, dtype=torch.float64) % 2)
