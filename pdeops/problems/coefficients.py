"""Distributions of coefficient fields on boxes that are not periodic: of diffusivities, of speeds of sound.

Sample i depends on (seed, i) alone, and is the same function on every lattice of the box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, inf, pi, sqrt

import numpy as np
import torch
from torch import Tensor

from pdeops.bases.trigonometric import cosine_values
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.inputs import Gaussian, Inputs, matern_sum


@dataclass(frozen=True, kw_only=True)
class NeumannMatern(Gaussian):
    """amplitude N(0, (-Laplace + tau^2)^-alpha), the Laplacian with zero normal derivatives; cell or uniform nodes.

    g(x) = amplitude sum_k (kappa_k^2 + tau^2)^(-alpha/2) xi_k phi_k(x), kappa_k = (pi k_i / length_i)_i, k_i >= 0,
    xi_k ~ N(0, 1), phi_k = prod_i (2 - [k_i = 0])^(1/2) length_i^(-1/2) cos(pi k_i x_i / length_i), orthonormal in L2.
    Modes are drawn from the lowest up, so that lattices differ in the modes alone that they lack: those of k_i >= n_i.

    zero_mean: without k = 0. terms: only so many modes, the first by |k|^2 and, among equals, by k_1, k_2, ...: then
    one and the same function on all lattices that hold them.

    The FNO paper's coefficients of Darcy's equation are functions of N(0, (-Laplace + 9)^-2) on the unit square: tau 3,
    alpha 2, amplitude 1. The generator published with it transforms s tau^(alpha-1) (kappa^2 + tau^2)^(-alpha/2) xi by
    the orthonormal inverse cosine transform of s x s cell centres, whose basis is phi_k / s: that is this field, of
    zero mean, with amplitude tau^(alpha-1), here 3. Coefficients by sign (`TwoPhase`) are the same with either.
    Source: Li et al., Fourier neural operator for parametric PDEs, ICLR 2021, A.3.2 (and GRF.m beside its code).
    Raises InputError on parameters without a meaning and, at a call, on nodes that are neither cell nor uniform.
    """

    tau: float = 3.0
    alpha: float = 2.0
    amplitude: float = 1.0
    zero_mean: bool = True
    terms: int | None = None

    def __post_init__(self) -> None:
        if not (0 <= self.tau < inf and 0 < self.alpha < inf):
            raise InputError(f"a NeumannMatern of tau={self.tau}, alpha={self.alpha}: wanted tau >= 0 and alpha > 0")
        if self.tau == 0 and not self.zero_mean:
            raise InputError("a NeumannMatern of tau=0 has no mean: its variance is infinite. Take zero_mean=True.")
        if self.terms is not None and self.terms < 1:
            raise InputError(f"a NeumannMatern of terms={self.terms}: wanted at least 1, or None for all")

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        n = _extent(self.terms, space.ndim, self.zero_mean) if self.terms else max(space.shape)
        held = tuple(slice(m) for m in space.shape)
        rank, deviations = _ranks(n, space.ndim)[held], _deviations(self, tuple(a.length for a in space), n)[held]
        place = tuple(slice(m) for m in rank.shape)
        fields = []
        for i in indices:
            c = np.zeros(space.shape)
            c[place] = deviations * np.random.default_rng([seed, i]).standard_normal(n**space.ndim)[rank]
            # one transform per sample: a batch's size would change the last digits
            fields.append(torch.from_numpy(cosine_values(c, space)))
        return torch.stack(fields).unsqueeze(1)

    def deviation(self, space: Grid) -> float:
        lengths = tuple(axis.length for axis in space)
        if self.terms:
            n = _extent(self.terms, space.ndim, self.zero_mean)
            # cosines have a mean square of 1/2 per axis, those of k = 0 of 1
            return sqrt((_deviations(self, lengths, n) ** 2 / _repeats(n, space.ndim)).sum())
        mean = 0.0 if self.zero_mean else self.tau ** (-2 * self.alpha)
        return self.amplitude * sqrt((matern_sum(lengths, self.tau, self.alpha) + mean) / space.volume)


@dataclass(frozen=True, kw_only=True)
class FromTorus(Gaussian):
    """A distribution on the torus (`Matern`, `PeriodicKernel`) on a box of the same lengths; cell or uniform nodes.

    Opposite sides have equal values. Raises InputError, at a call, on nodes that are neither cell nor uniform.
    """

    of: Gaussian

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        u = self.of(_torus(space), indices, seed)
        for dim, axis in enumerate(space, -space.ndim):
            if axis.nodes == "uniform":
                u = torch.cat([u, u.narrow(dim, 0, 1)], dim)
            else:  # of a lattice twice as fine, the nodes between those of the coarse one
                u = u.unflatten(dim, (axis.n, 2)).select(dim, 1)
        return u

    def deviation(self, space: Grid) -> float:
        return self.of.deviation(_torus(space))


@dataclass(frozen=True, kw_only=True)
class LogNormal(Inputs):
    """exp(scale g), g a sample of `of`.

    standardise: divides g by its law's deviation on the box, one number for all samples, lattices and places, so that
    `scale` is the deviation of the logarithm (its root mean square over the box, where it varies in space).
    Raises InputError if that is asked of a distribution whose deviation is not known.
    """

    of: Inputs
    scale: float = 1.0
    standardise: bool = False

    def __post_init__(self) -> None:
        if self.standardise and not isinstance(self.of, Gaussian):
            raise InputError(
                f"LogNormal(of={self.of!r}, standardise=True): wanted a Gaussian one, such as NeumannMatern"
            )

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        unit = self.of.deviation(space) if self.standardise and isinstance(self.of, Gaussian) else 1.0
        return torch.exp(self.scale / unit * self.of(space, indices, seed))


@dataclass(frozen=True, kw_only=True)
class TwoPhase(Inputs):
    """`high` where a sample g of `of` is not negative, else `low`.

    smoothness: above 0 the transition is (high + low) / 2 + (high - low) / 2 tanh(g / smoothness) instead, which
    covers three quarters of the jump while |g| <= smoothness: a width in units of g, whose size is that of `of`.
    The defaults are the FNO paper's, with `of` its tau 3 and alpha 2; the demonstration beside its generator has
    low=4. Source: Li et al., Fourier neural operator for parametric PDEs, ICLR 2021, A.3.2.
    Raises InputError unless high and low are positive and finite, and smoothness is not negative.
    """

    of: Inputs = field(default_factory=NeumannMatern)
    high: float = 12.0
    low: float = 3.0
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.low < inf and 0 < self.high < inf and 0 <= self.smoothness < inf):
            raise InputError(
                f"phases high={self.high}, low={self.low}, smoothness={self.smoothness}: wanted positive values and a "
                "width that is not negative"
            )

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        g = self.of(space, indices, seed)
        if self.smoothness == 0:
            return torch.where(g >= 0, self.high, self.low).to(g.dtype)
        return (self.high + self.low) / 2 + (self.high - self.low) / 2 * torch.tanh(g / self.smoothness)


@dataclass(frozen=True, kw_only=True)
class MultiscaleTrigonometric(Inputs):
    """prod_{k=1..scales} (1 + depth cos(a_k pi (x_1 + x_2))) (1 + depth sin(a_k pi (x_2 - 3 x_1))), a_k uniform on
    [2^(k-1), 1.5 2^(k-1)], x in units of the box's sides.

    Source: Liu, Xu, Cao and Zhang, Mitigating spectral bias for the multiscale operator learning, J. Comput. Phys. 506
    (2024), multiscale trigonometric coefficients.
    Raises InputError unless 0 <= depth < 1 (the coefficient is to be positive) and scales >= 1 and, at a call, on
    anything but two axes.
    """

    scales: int = 6
    depth: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.depth < 1 and self.scales >= 1):
            raise InputError(f"scales={self.scales}, depth={self.depth}: wanted at least one scale and 0 <= depth < 1")

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        if space.ndim != 2:
            raise InputError(f"MultiscaleTrigonometric is a coefficient in two dimensions; got {space}")
        x, y = (pi * (axis.points() - axis.start) / axis.length for axis in space)
        x = x[:, None]
        fields = []
        for i in indices:
            a = 2.0 ** np.arange(self.scales) * np.random.default_rng([seed, i]).uniform(1, 1.5, self.scales)
            u = torch.ones(space.shape, dtype=torch.float64)
            for w in a:  # sums of angles as products: sines of lines, not of the whole lattice
                u *= 1 + self.depth * (torch.cos(w * x) * torch.cos(w * y) - torch.sin(w * x) * torch.sin(w * y))
                u *= 1 + self.depth * (
                    torch.cos(3 * w * x) * torch.sin(w * y) - torch.sin(3 * w * x) * torch.cos(w * y)
                )
            fields.append(u)
        return torch.stack(fields).unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class WaveSpeed(Inputs):
    """mean + spread tanh(g), g a sample of `of`: a speed of sound between mean - spread and mean + spread.

    The defaults are those of the Helmholtz problem of de Hoop et al.: g of the first 100 cosine modes of
    (-Laplace + 9)^-2, without the constant.
    Source: de Hoop, Huang, Qian and Stuart, The cost-accuracy trade-off in operator learning with neural networks,
    J. Mach. Learn. 1 (2022), Helmholtz equation.
    Raises InputError unless mean > |spread|.
    """

    of: Inputs = field(default_factory=lambda: NeumannMatern(terms=100))
    mean: float = 20.0
    spread: float = 1.0

    def __post_init__(self) -> None:
        if not abs(self.spread) < self.mean < inf:
            raise InputError(f"mean={self.mean}, spread={self.spread}: wanted speeds that are positive everywhere")

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        return self.mean + self.spread * torch.tanh(self.of(space, indices, seed))


def _torus(space: Grid) -> Grid:
    """The torus of a box' lengths, on a lattice that holds the box' nodes."""
    axes = []
    for axis in space:
        if axis.nodes not in ("cell", "uniform"):
            raise InputError(f"axis {axis.name!r} has {axis.nodes} nodes; FromTorus is for cell and uniform ones")
        axes.append(Axis(axis.name, axis.n - 1 if axis.nodes == "uniform" else 2 * axis.n, axis.length))
    return Grid(axes)


@lru_cache(maxsize=8)
def _ranks(n: int, d: int) -> np.ndarray:
    """At which place each mode 0 <= k_i < n is drawn, (n, ..., n): by max k_i, so that a larger n draws more later."""
    k = np.indices((n,) * d).reshape(d, -1)
    ranks = np.empty(n**d, dtype=np.int64)
    ranks[np.lexsort((*k[::-1], k.max(0)))] = np.arange(n**d)
    return ranks.reshape((n,) * d)


@lru_cache(maxsize=8)
def _deviations(law: NeumannMatern, lengths: tuple[float, ...], n: int) -> np.ndarray:
    """Those of the coefficients of prod_i cos(pi k_i x_i / length_i), (n, ..., n)."""
    d = len(lengths)
    k = np.indices((n,) * d)
    shifted = sum((pi * k_i / length) ** 2 for k_i, length in zip(k, lengths, strict=True)) + law.tau**2
    kept = np.ones_like(shifted, dtype=bool) if law.terms is None else _first(law.terms, d, law.zero_mean)
    if law.zero_mean:
        kept[(0,) * d] = False
    shifted[~kept] = inf
    return law.amplitude * shifted ** (-law.alpha / 2) * np.sqrt(_repeats(n, d) / np.prod(lengths))


def _repeats(n: int, d: int) -> np.ndarray:
    """prod_i (2 - [k_i = 0]), (n, ..., n)."""
    return np.prod(np.where(np.indices((n,) * d) > 0, 2.0, 1.0), axis=0)


def _first(terms: int, d: int, zero_mean: bool) -> np.ndarray:
    """Which modes are the first so many by |k|^2, then k_1, k_2, ...: booleans on the least cube that holds them."""
    n = 2 * ceil(terms ** (1 / d)) + 2  # a ball of this radius holds more than those
    k = np.indices((n,) * d).reshape(d, -1)
    order = np.lexsort((*k[::-1], (k * k).sum(0)))[int(zero_mean) :][:terms]
    kept = np.zeros((int(k[:, order].max()) + 1,) * d, dtype=bool)
    kept[tuple(k[:, order])] = True
    return kept


def _extent(terms: int, d: int, zero_mean: bool) -> int:
    return len(_first(terms, d, zero_mean))
