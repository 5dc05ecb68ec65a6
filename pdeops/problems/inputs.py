"""Distributions of input functions. Sample i depends on (seed, i) alone, and is the same function on every lattice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, log, pi, sqrt
from zlib import crc32

import numpy as np
import torch
from scipy.special import gammaln, ive
from torch import Tensor

from pdeops.bases.fourier import wavenumbers
from pdeops.errors import InputError
from pdeops.grid import Grid


def apart(seed: int, name: str) -> int:
    """The seed of a stream of its own, for what a problem draws beside its first input: that of `name`."""
    return int(np.random.SeedSequence([seed, crc32(name.encode())]).generate_state(1, np.uint64)[0])


class Inputs(ABC):
    """A distribution of functions, on a torus unless it says otherwise."""

    @abstractmethod
    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        """Samples (n, C, *space), float64 on the CPU."""


class Gaussian(Inputs):
    """Gaussian functions of zero mean, one channel, whose size is known without sampling."""

    @abstractmethod
    def deviation(self, space: Grid) -> float:
        """The root of the pointwise variance's mean over the box of `space`: of the law, so on every lattice the same.

        Raises InputError where the variance is infinite.
        """


@dataclass(frozen=True, kw_only=True)
class Matern(Gaussian):
    """amplitude * N(0, variance (-Laplace + tau^2)^-alpha), of zero mean."""

    variance: float
    tau: float
    alpha: float
    amplitude: float = 1.0

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        return self.amplitude * gaussian_field(space, indices, seed, self._spectrum)

    def deviation(self, space: Grid) -> float:
        total = matern_sum([axis.length / 2 for axis in space], self.tau, self.alpha, both_signs=True)
        return self.amplitude * sqrt(self.variance * total / space.volume)

    def _spectrum(self, space: Grid, modes: Sequence[np.ndarray]) -> np.ndarray:
        kappa2 = sum((2 * pi / axis.length * k) ** 2 for axis, k in zip(space, modes, strict=True))
        return self.variance * (kappa2 + self.tau**2) ** -self.alpha / space.volume


@dataclass(frozen=True, kw_only=True)
class PeriodicKernel(Gaussian):
    """A Gaussian process of covariance amplitude^2 exp(-sum_i sin^2(pi d_i) / (2 width^2)), d_i the distance along
    axis i in periods, its mean over the torus removed.

    Its Fourier coefficients: exp(-sin^2(pi d) / (2 w^2)) = e^-q sum_k I_k(q) exp(2 pi i k d), q = 1 / (4 w^2).
    Source: Du, Chalapathi and Krishnapriyan, Neural spectral methods, ICLR 2024 (as coded there).
    """

    width: float
    amplitude: float = 1.0

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        return self.amplitude * gaussian_field(space, indices, seed, self._spectrum)

    def deviation(self, space: Grid) -> float:
        return self.amplitude * sqrt(1 - ive(0, 0.25 / self.width**2) ** space.ndim)

    def _spectrum(self, space: Grid, modes: Sequence[np.ndarray]) -> np.ndarray:
        return np.prod([ive(np.abs(k), 0.25 / self.width**2) for k in modes], axis=0)


@dataclass(frozen=True, kw_only=True)
class UnitRange(Inputs):
    """Samples of another distribution, each mapped to minimum 0 and maximum 1 over a lattice of 256 nodes per side."""

    of: Inputs

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        reference = self.of(space.resized((256,) * space.ndim), indices, seed).flatten(1)
        low, high = (x.view(-1, *(1,) * (space.ndim + 1)) for x in (reference.amin(1), reference.amax(1)))
        return (self.of(space, indices, seed) - low) / (high - low)


@dataclass(frozen=True, kw_only=True)
class McWilliams(Inputs):
    """Vorticity of a random flow with its energy near wavenumber `peak`: Gaussian stream functions of deviation
    1 / (k (1 + (k / peak)^4)), each sample scaled to a mean square velocity of 1/2 over the modes of its lattice (so
    that one sample on two lattices differs by a factor, of 1 to 5e-7 from 64 nodes a side on).

    Source: McWilliams, J. Fluid Mech. 146 (1984), section 2, with the deviation where that has the variance, as in
    the data sets of Cao, Brarda, Li and Xi, Spectral-Refiner, ICLR 2025.
    """

    peak: float = 4.0

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        w = gaussian_field(space, indices, seed, self._spectrum)
        kx, ky = (wavenumbers(axis) for axis in space)
        k2 = kx[:, None] ** 2 + ky**2
        inverse = torch.where(k2 > 0, 1 / k2, 0.0)
        square_velocity = (torch.fft.fft2(w, norm="forward").abs().square() * inverse).sum((-2, -1), keepdim=True)
        return w * (0.5 / square_velocity).sqrt()

    def _spectrum(self, space: Grid, modes: Sequence[np.ndarray]) -> np.ndarray:
        k = np.sqrt(sum((2 * pi / axis.length * k) ** 2 for axis, k in zip(space, modes, strict=True)))
        return (k / (1 + (k / self.peak) ** 4)) ** 2  # k^2 times the stream function's deviation


@dataclass(frozen=True, kw_only=True)
class TaylorGreen(Inputs):
    """Vorticity 2 kappa cos(kappa x + p) cos(kappa y + q) of vortices with velocities up to 1: kappa = 2 pi m / length
    with m drawn from 1 to `most`, p and q from the circle."""

    most: int = 4

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        x, y = space.points().unbind(-1)
        fields = []
        for i in indices:
            rng = np.random.default_rng([seed, i])
            kappa = 2 * pi / space[0].length * int(rng.integers(1, self.most + 1))
            p, q = rng.uniform(0, 2 * pi, 2)
            fields.append(2 * kappa * torch.cos(kappa * x + p) * torch.cos(kappa * y + q))
        return torch.stack(fields).unsqueeze(1)


@dataclass(frozen=True, kw_only=True)
class Spots(Inputs):
    """Two species (1 - s / 2, s / 4), s a union of `count` round spots at random places: 1 - s is the product of
    1 - exp(-sum_i sin^2(pi d_i) / (2 width^2)), d_i the distance along axis i in periods."""

    count: int = 8
    width: float = 0.1

    def __call__(self, space: Grid, indices: Sequence[int], seed: int) -> Tensor:
        periods = space.points() / torch.tensor([axis.length for axis in space], dtype=torch.float64)
        fields = []
        for i in indices:
            centres = np.random.default_rng([seed, i]).uniform(size=(self.count, space.ndim))
            empty = torch.ones(space.shape, dtype=torch.float64)
            for centre in torch.from_numpy(centres):
                distance2 = torch.sin(pi * (periods - centre)).square().sum(-1)
                empty *= 1 - torch.exp(-distance2 / (2 * self.width**2))
            fields.append(torch.stack([(1 + empty) / 2, (1 - empty) / 4]))
        return torch.stack(fields)


Spectrum = Callable[[Grid, Sequence[np.ndarray]], np.ndarray]


def gaussian_field(space: Grid, indices: Sequence[int], seed: int, spectrum: Spectrum) -> Tensor:
    """Zero-mean Gaussian samples (n, 1, *space), float64, in one or two dimensions: u = sum_k c_k exp(i kappa_k x),
    k != 0, |k_i| < n_i / 2, with E|c_k|^2 = spectrum(space, k), k the integer modes, one array per axis.

    Sample i depends on (seed, i) alone, and modes are drawn from the lowest up, so that the same (seed, i)
    is the same function on every line and every square lattice, up to the modes that the lattice lacks.
    """
    count, held, deviation, place, mirror = _recipe(space, spectrum)
    shape = (*space.shape[:-1], space.shape[-1] // 2 + 1)
    fields = []
    for i in indices:
        xi = np.random.default_rng([seed, i]).standard_normal((count, 2))[held]
        c = np.zeros(shape, dtype=np.complex128)
        c[place] = deviation * xi.view(np.complex128)[:, 0]
        if space.ndim == 2:  # the row k_y = 0 holds both k and -k
            c[-mirror, 0] = c[mirror, 0].conj()
        # one transform per sample: a batch's size would change the last digits
        fields.append(torch.fft.irfftn(torch.from_numpy(c), s=space.shape, norm="forward"))
    return torch.stack(fields).unsqueeze(1)


def matern_sum(lengths: Sequence[float], tau: float, alpha: float, *, both_signs: bool = False) -> float:
    """sum_k (sum_i (pi k_i / length_i)^2 + tau^2)^-alpha over k_i >= 0 (or over all whole k_i), without k = 0.

    As int_0^inf t^(alpha-1) exp(-tau^2 t) (prod_i theta_i(t) - 1) dt / Gamma(alpha), theta_i(t) =
    sum_k exp(-(pi k / length_i)^2 t). Raises InputError where it diverges: alpha <= half the number of axes.
    """
    d = len(lengths)
    if not 2 * alpha > d:
        raise InputError(f"alpha={alpha} in {d} dimensions: the pointwise variance is infinite; wanted alpha > {d / 2}")

    # as an integral over log t, analytic and falling like t^(alpha - d/2) and exp(-(pi / longest length)^2 t): the
    # trapezoidal rule converges geometrically
    longest = max(lengths) ** 2
    bottom, step = log(min(longest, tau**-2 if tau else inf)) - 40 / (alpha - d / 2), 0.2
    log_t = np.arange(bottom, log(5 * longest), step)
    t = np.exp(log_t)
    excess = np.expm1(sum(np.log1p(_theta(pi * t / length**2) * (1 + both_signs)) for length in lengths))
    return step * float((excess * np.exp(alpha * log_t - tau**2 * t - gammaln(alpha))).sum())


def _theta(t: np.ndarray) -> np.ndarray:
    """sum over k > 0 of exp(-pi k^2 t), by the faster of Jacobi's two series."""
    rest = np.exp(-pi * np.arange(1, 8)[:, None] ** 2 * np.maximum(t, 1 / t)).sum(0)
    return np.where(t >= 1, rest, ((1 + 2 * rest) / np.sqrt(t) - 1) / 2)


@lru_cache(maxsize=32)
def _recipe(
    space: Grid, spectrum: Spectrum
) -> tuple[int, np.ndarray | slice, np.ndarray, tuple[np.ndarray, ...], np.ndarray]:
    """How many modes are drawn; which of them the lattice holds, with the deviation of their real and imaginary parts
    and their places; of two axes, those among k_x whose k_y is 0."""
    modes = _modes(max(space.shape), space.ndim)
    deviation = np.sqrt(spectrum(space, modes) / 2)
    held = np.all([2 * np.abs(k) < axis.n for axis, k in zip(space, modes, strict=True)], axis=0)
    place = tuple(k[held] for k in modes)
    which: np.ndarray | slice = slice(None) if held.all() else held  # a slice copies nothing
    return len(held), which, deviation[held], place, place[0][place[-1] == 0]


@lru_cache(maxsize=8)
def _modes(n: int, d: int) -> tuple[np.ndarray, ...]:
    """Half of the modes |k_i| < n / 2, k != 0, one of each pair k and -k, ordered by max |k_i|."""
    top = (n - 1) // 2
    if d == 1:
        return (np.arange(1, top + 1),)
    kx, ky = (k.ravel() for k in np.meshgrid(np.arange(-top, top + 1), np.arange(top + 1), indexing="ij"))
    half = (ky > 0) | ((ky == 0) & (kx > 0))
    kx, ky = kx[half], ky[half]
    order = np.lexsort((ky, kx, np.maximum(np.abs(kx), ky)))
    return kx[order], ky[order]
