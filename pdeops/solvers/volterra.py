"""u' = L u + g from zero, L diagonal, for polynomials g in time."""

from __future__ import annotations

from math import pi, prod

import numpy as np
import torch
from numpy.polynomial.legendre import leggauss, legvander
from scipy.special import ive
from torch import Tensor

from pdeops.bases.differences import interpolation_matrix
from pdeops.errors import InputError


class Volterra:
    """y(t_j) = int_{t_0}^{t_j} exp((t_j - s) L) g(s) ds at nodes t_0 < t_1 < ..., exact for the polynomial through the
    values of g there, however stiff L.

    On [t_0, t_j] g is a Legendre series, and int_{-1}^1 exp(z x) P_m(x) dx = 2 i_m(z), i_m(z) = (pi / 2 z)^(1/2)
    I_{m+1/2}(z), the modified spherical Bessel functions. Of many nodes they should be Chebyshev's.

    linear: the symbol of L (*modes), of which no real part is positive; points: (n,). Raises InputError on others.
    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, equation 10.1.14 at imaginary arguments.
    """

    def __init__(self, linear: Tensor, points: Tensor) -> None:
        if (linear.real if linear.is_complex() else linear).max() > 0:
            raise InputError("a symbol with positive real parts grows: wanted one that damps, or keeps, every mode")
        distinct, which = np.unique(linear.cpu().numpy(), return_inverse=True)
        tables = torch.from_numpy(_tables(distinct, points.double().cpu()))
        self.shape = tuple(linear.shape)
        self._weights = tables[torch.from_numpy(which.ravel())].to(linear.device)  # (modes, n, n)

    def __call__(self, g: Tensor) -> Tensor:
        """g (n, ..., *modes) -> y, of the same shape, real where g and L are; `linear` may have 1 in the place of a
        number of modes."""
        n, d = len(g), len(self.shape)
        batch, modes = g.shape[1 : g.ndim - d], g.shape[g.ndim - d :]
        if prod(self.shape) != prod(modes):  # a symbol that channels share
            grid = torch.arange(prod(self.shape), device=g.device).view(self.shape).expand(modes).flatten()
            weights = self._weights[grid]
        else:
            weights = self._weights
        x = g.reshape(n, prod(batch), -1).permute(2, 0, 1)
        if weights.is_complex() or not x.is_complex():
            dtype = x.dtype.to_complex() if weights.is_complex() else x.dtype
            y = torch.bmm(weights.to(dtype), x.to(dtype))
        else:
            both = torch.view_as_real(x.resolve_conj().contiguous()).flatten(-2)
            y = torch.view_as_complex(torch.bmm(weights.to(both.dtype), both).unflatten(-1, (-1, 2)))
        return y.permute(1, 2, 0).reshape(n, *batch, *modes)


def _tables(symbol: np.ndarray, points: Tensor) -> np.ndarray:
    """(modes, n, n)"""
    n, start = len(points), float(points[0])
    x, weights = leggauss(n)
    m = np.arange(n)
    legendre = (m[:, None] + 0.5) * legvander(x, n - 1).T * weights  # values at Gauss' nodes -> coefficients
    tables = np.zeros((len(symbol), n, n), symbol.dtype)
    for j in range(1, n):
        length = float(points[j]) - start
        between = torch.from_numpy(start + length * (1 + x) / 2)
        series = legendre @ interpolation_matrix(points, between, order=n).numpy()
        z = -symbol[:, None] * length / 2
        safe = np.where(z == 0, 1.0, z)
        bessel = np.sqrt(pi / (2 * safe)) * ive(m + 0.5, safe)
        if np.iscomplexobj(z):
            bessel = bessel * np.exp(-1j * safe.imag)
        tables[:, j] = length * (np.where(z == 0, m == 0, bessel) @ series)
    return tables
