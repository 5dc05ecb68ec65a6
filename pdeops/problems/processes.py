"""Distributions of functions on intervals and boxes, such as the controls of ordinary differential equations.

Sample i depends on (seed, i) alone, and is the same function on every set of nodes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf, pi

import numpy as np
import torch
from scipy.linalg import eigh
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.inputs import Gaussian, Inputs, apart

SMALLEST = 1e-12  # the least eigenvalue of a covariance that is kept, relative to the largest


@dataclass(frozen=True, kw_only=True)
class GaussianProcess(Gaussian):
    """A Gaussian process on a box, of covariance amplitude^2 exp(-d^2 / (2 width^2)), d the distance.

    Per axis its Karhunen-Loeve series up to variances of 1e-12 of the largest, by Nystroem's method on Gauss-Legendre
    nodes that depend on width / length alone: so a sample is the same function on every lattice over the box. Over
    several axes their products, since the covariance is one of its axes' covariances.
    Source: Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 4.3.2; the covariance is
    that of Lu et al., Nature Machine Intelligence 3 (2021), with width 0.2 on [0, 1].
    Raises InputError on a width that is not positive and, at a call, on a periodic axis.
    """

    width: float = 0.2
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.width < inf:
            raise InputError(f"a Gaussian process of width={self.width}: wanted a positive, finite correlation length")

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        series = [self._series(axis) for axis in space]
        fields = []
        for i in indices:  # one product per sample: a batch's size would change the last digits
            u = np.random.default_rng([seed, i]).standard_normal([modes.shape[1] for modes in series])
            for modes in series:  # the first axis is expanded, and becomes the last
                u = np.tensordot(u, modes, (0, 1))
            fields.append(u)
        return self.amplitude * torch.from_numpy(np.stack(fields)).unsqueeze(1)

    def deviation(self, space: Grid) -> float:
        return self.amplitude

    def _series(self, axis: Axis) -> np.ndarray:
        """(n, m): the modes on an axis, each times its deviation."""
        if axis.periodic:
            raise InputError(
                f"a GaussianProcess lives on axes that are not periodic; got {axis}. On a torus, take Matern."
            )
        nodes, factors = _karhunen_loeve(self.width / axis.length)
        x = (axis.points().numpy() - axis.start) / axis.length
        return _covariance(x, nodes, self.width / axis.length) @ factors


@dataclass(frozen=True, kw_only=True)
class RandomSines(Inputs):
    """u(t) = sum_{j=1..terms} xi_j sin(pi f_j t) / j, xi_j ~ N(0, 1), f_j uniform on [0, frequency].

    Source: Calvello, Kovachki, Levine and Stuart, Continuum attention for neural operators, JMLR 26 (2025), the
    controlled differential equation (as coded there).
    """

    terms: int = 10
    frequency: float = 10.0

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        if space.ndim != 1 or space[0].periodic:
            raise InputError(
                f"RandomSines live on one axis that is not periodic; got {space}. On a torus, take Matern."
            )
        t = space[0].points()
        fields = []
        for i in indices:
            rng = np.random.default_rng([seed, i])
            xi, f = rng.standard_normal(self.terms), rng.uniform(0, self.frequency, self.terms)
            waves = (torch.sin(pi * f[j] * t) * (xi[j] / (j + 1)) for j in range(self.terms))
            fields.append(sum(waves, start=torch.zeros_like(t)))
        return torch.stack(fields).unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class Commands(Inputs):
    """`channels` independent functions with values in (0, 1): u = 1 / (1 + exp(-g)), g samples of `of`.

    Raises InputError unless channels is at least 1.
    """

    channels: int
    of: Gaussian

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise InputError(f"commands of channels={self.channels}: wanted at least 1")

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        streams = (apart(seed, f"command {i}") for i in range(self.channels))
        return torch.sigmoid(torch.cat([self.of(space, indices, stream) for stream in streams], dim=1))


def _covariance(x: np.ndarray, y: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-0.5 * ((x[:, None] - y[None, :]) / width) ** 2)


@lru_cache(maxsize=8)
def _karhunen_loeve(width: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes y (q,) on [0, 1] and factors (q, m): the columns of k(x, y) @ factors are sqrt(lambda_j) e_j(x), from the
    largest eigenvalue down, each positive at the last node."""
    y, weights = np.polynomial.legendre.leggauss(32 + ceil(8 / width))
    y, roots = (1 + y) / 2, np.sqrt(weights / 2)
    values, vectors = eigh(roots[:, None] * _covariance(y, y, width) * roots)
    kept = np.flatnonzero(values > SMALLEST * values[-1])[::-1]
    vectors = vectors[:, kept] * np.sign(vectors[-1, kept])  # a library's choice of signs is not ours
    return y, roots[:, None] * vectors / np.sqrt(values[kept])
