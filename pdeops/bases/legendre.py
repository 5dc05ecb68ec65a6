"""Polynomials on an interval that vanish at both ends, in coordinates that make the second derivative diagonal."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.polynomial.legendre import legvander
from scipy.interpolate import BarycentricInterpolator, make_interp_spline
from torch import Tensor

from pdeops.bases.polynomials import ShenSeries, gauss, reference
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

DEGREE = 7  # of the splines through values on uniform nodes


class Legendre:
    """The eigenfunctions of -d^2/dx^2 among the polynomials that vanish at both ends of an axis, orthonormal in L2.

    The polynomials are the span of phi_k = L_k - L_{k+2}, k = 0, ..., m - 1 (`polynomials.ShenSeries`). The lower
    eigenfunctions (to round-off the lower half, if m is 128) are sines, sqrt(2 / length) sin(j pi x / length); the
    upper ones are not, and complete the polynomials, which no sine series would replace: its coefficients decay like
    j^-3 wherever the second derivative does not vanish at the ends. Products of `degree` fields are formed on so many
    Gauss-Legendre nodes that `to_modes` of them is their exact L2 projection onto the span, as -k2 c is that of the
    second derivative.
    Source: Shen, Efficient spectral-Galerkin method I, SIAM J. Sci. Comput. 15 (1994), section 2.

    modes: m; by default n - 2 on n chebyshev nodes (any values that vanish at the ends) and n / 2 on n uniform ones,
    since polynomials of a higher degree vary faster near the ends than such nodes can tell.
    Attributes: `grid`; `k2` (m,), the eigenvalues; `shape`, the number of Gauss-Legendre nodes, above n.
    Raises InputError on anything but one axis of more than seven uniform or chebyshev nodes, and if modes < 1.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        degree: int = 2,
        modes: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        if grid.ndim != 1 or grid[0].nodes not in ("uniform", "chebyshev") or grid[0].n <= DEGREE:
            raise InputError(
                f"a Legendre basis needs one axis of more than {DEGREE} uniform or chebyshev nodes; got {grid}"
            )
        axis = grid[0]
        m = modes if modes is not None else axis.n - 2 if axis.nodes == "chebyshev" else axis.n // 2
        if m < 1:
            raise InputError(f"a Legendre basis of modes={m}; wanted at least 1")
        # q nodes are exact to degree 2 q - 1; a number unlike n tells both kinds of values apart
        q = max((degree + 1) * (m + 1) // 2 + 1, axis.n + 1)
        self.grid, self.shape, self._modes = grid, (q,), m
        k2, fine, from_fine, from_nodes = (torch.from_numpy(x).to(device, dtype) for x in _tables(axis, m, q))
        self.k2, self._fine = k2, fine
        self._projections = {q: from_fine, axis.n: from_nodes}

    def to_modes(self, u: Tensor) -> Tensor:
        """Values (..., n) on the axis' nodes or (..., *shape) on the Gauss-Legendre nodes -> coefficients (..., m) of
        their L2 projection. Between chebyshev nodes the values are those of the interpolating polynomial, between
        uniform ones those of the spline of degree 7.

        Raises InputError on another number of nodes.
        """
        if u.shape[-1] not in self._projections:
            wanted = " or ".join(str(n) for n in sorted(self._projections))
            raise InputError(
                f"a Legendre basis got values on {u.shape[-1]} nodes; wanted {wanted}. Build it on the values' grid."
            )
        return u @ self._projections[u.shape[-1]]

    def to_fine(self, c: Tensor) -> Tensor:
        """Coefficients (..., m) -> values on the Gauss-Legendre nodes (..., *shape)."""
        return c @ self._fine

    def to_values(self, c: Tensor, grid: Grid | None = None) -> Tensor:
        """Coefficients (..., m) -> values on `grid` (default: the basis's own), other nodes of the same interval."""
        return c @ torch.from_numpy(_on_nodes((grid or self.grid)[0], self._modes)).to(c)


@lru_cache(maxsize=32)
def _tables(axis: Axis, m: int, q: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The eigenvalues (m,), and as matrices to multiply from the right: coefficients -> Gauss-Legendre nodes (m, q),
    these nodes -> coefficients (q, m), the axis' nodes -> coefficients (n, m)."""
    points, weights = gauss(axis, q)
    x, nodes = reference(axis, points), reference(axis, axis.points())
    fine = _evaluate(m, x) * (2 / axis.length) ** 0.5
    from_fine = weights.numpy()[:, None] * fine.T
    if axis.nodes == "chebyshev":
        between = BarycentricInterpolator(nodes, np.eye(axis.n))(x)
    else:
        between = make_interp_spline(nodes, np.eye(axis.n), k=DEGREE)(x)
    return _eigenfunctions(m)[0] * (2 / axis.length) ** 2, fine, from_fine, between.T @ from_fine


@lru_cache(maxsize=32)
def _on_nodes(axis: Axis, m: int) -> np.ndarray:
    """(m, n): coefficients -> the axis' nodes."""
    return _evaluate(m, reference(axis, axis.points())) * (2 / axis.length) ** 0.5


def _evaluate(m: int, x: np.ndarray) -> np.ndarray:
    """The eigenfunctions (m, len(x)) on [-1, 1]."""
    return (legvander(x, m + 1) @ _eigenfunctions(m)[1]).T


@lru_cache(maxsize=32)
def _eigenfunctions(m: int) -> tuple[np.ndarray, np.ndarray]:
    """On [-1, 1]: eigenvalues (m,) and the coefficients (m + 2, m) of L_0, ..., L_{m+1}; all slopes positive at -1."""
    series = ShenSeries(Axis("x", m + 2, 2.0, "chebyshev", -1.0))
    eigenvalues, vectors = series.eigen()
    return eigenvalues.numpy(), (series.combination() @ vectors).numpy()
