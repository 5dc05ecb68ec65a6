"""Norms of fields on grids, by quadrature or by Parseval.

A norm is called with a field (..., *grid.shape) and returns (...): one number per sample and channel, so
that every further reduction is the caller's and is named there.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, pi

import torch
from torch import Tensor

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.expansions import Expansion, along, between_walls, orthonormal, weights_of
from pdeops.bases.fourier import half_spectrum_weights, wavenumbers
from pdeops.bases.waves import FourierSeries
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

Norm = Callable[[Tensor], Tensor]


def check_shape(u: Tensor, grid: Grid) -> None:
    """Raise InputError unless u (..., *grid.shape) is a field of real or complex floating-point numbers."""
    if not (u.is_floating_point() or u.is_complex()):
        raise InputError(f"a field of {u.dtype}; wanted floating-point numbers")
    if tuple(u.shape[-grid.ndim :]) != grid.shape:
        raise InputError(
            f"a field of shape {tuple(u.shape)} does not end in the grid's shape {grid.shape}; "
            "build the norm for the field's own grid (grid.resized(...))"
        )


class _Weights:
    """Weights in double precision, cast once to each precision and device that fields come in."""

    def __init__(self, weights: Tensor) -> None:
        self._cast: dict[tuple[torch.dtype, torch.device], Tensor] = {}
        self._exact = weights

    def like(self, u: Tensor) -> Tensor:
        key = (u.dtype, u.device)
        if key not in self._cast:
            with torch.inference_mode(False):  # an inference tensor could not serve a later training step
                self._cast[key] = self._exact.to(u.device, u.dtype)
        return self._cast[key]


def root(s: Tensor, p: float) -> Tensor:
    """s^(1/p) for s >= 0, with derivative 0 (not infinity) at s = 0."""
    positive = s > 0
    root = torch.where(positive, s, 1.0)
    root = root.sqrt() if p == 2 else root.pow(1 / p)
    return torch.where(positive, root, s)


def _exact(u: Tensor) -> Tensor:
    """In single precision at least: powers and sums leave the range of half precision, and transforms have none."""
    return u.to(torch.promote_types(u.dtype, torch.float32))


def _squares(u: Tensor) -> Tensor:
    return u.real.square() + u.imag.square() if u.is_complex() else u.square()


class Lp:
    """||u||_p = (int |u|^p dx)^(1/p) by the grid's quadrature weights; p = inf: the maximum over the nodes.

    Raises InputError if p < 1 or the field is not on the grid.
    """

    def __init__(self, grid: Grid, p: float = 2) -> None:
        if not p >= 1:
            raise InputError(f"p={p}: an L^p norm needs p >= 1")
        self.grid, self.p = grid, p
        self._dims = tuple(range(-grid.ndim, 0))
        self._weights = _Weights(grid.weights())

    def __call__(self, u: Tensor) -> Tensor:
        check_shape(u, self.grid)
        if self.p == inf:
            return u.abs().amax(self._dims)
        u = _exact(u)
        powers = _squares(u) if self.p == 2 else u.abs().pow(self.p)
        return root((self._weights.like(powers) * powers).sum(self._dims), self.p)


class AtPoints:
    """||u||_p of values (..., N) at points drawn at random, each with the probability of the share of a domain that it
    stands for: (volume mean |u|^p)^(1/p), whose p-th power is an unbiased estimate of int |u|^p; p = inf: the maximum.
    """

    def __init__(self, volume: float, p: float = 2) -> None:
        if not p >= 1:
            raise InputError(f"p={p}: an L^p norm needs p >= 1")
        self.volume, self.p = volume, p

    def __call__(self, u: Tensor) -> Tensor:
        if self.p == inf:
            return u.abs().amax(-1)
        u = _exact(u)
        return root(self.volume * (_squares(u) if self.p == 2 else u.abs().pow(self.p)).mean(-1), self.p)


def relative_error(u: Tensor, v: Tensor, norm: Norm) -> Tensor:
    """||u - v|| / ||v||, v the reference; a zero prediction scores exactly 1. Where v vanishes: ||u - v||."""
    error, reference = norm(u - v), norm(v)
    return error / reference.where(reference > 0, reference.new_ones(()))


class Sobolev:
    """||u||_{H^s} for any real s: ||u||^2 = sum_k (alpha + lambda_k)^s |c_k|^2, c the coefficients in the
    eigenfunctions of -Laplace on the box, orthonormal in L2, and lambda their eigenvalues.

    On a torus these are waves, lambda = |kappa|^2 of physical wavenumbers 2 pi k / length. Between walls the axis says
    which (`bases.expansions.between_walls`): on chebyshev nodes the polynomials that vanish at the walls
    (bc="dirichlet"), or all (else; their eigenfunctions are cosines in the limit), by exact L2 projection of the
    polynomial through the values; on uniform and cell nodes sines (bc="dirichlet") or cosines (bc="neumann"). What the
    span does not hold counts as zero. So H^-s is the dual norm of the fields that satisfy the condition, and with
    alpha = 0 and u = 0 on the walls ||Laplace u||_{H^-1} = ||grad u||_{L2} and ||Laplace u||_{H^-2} = ||u||_{L2}.

    The value does not depend on the resolution, s = 0 is the L2 norm (by quadrature, of all values), and for large
    |kappa| one mode grows as |kappa|^s. A time axis is integrated by quadrature: the norm of L2(0, T; H^s).

    alpha: weight of the zeroth-order term (1 gives the standard norm), > 0, or 0 where all eigenvalues are positive.
    cutoff: an axis's wavenumber counts as zero in kappa from this harmonic on. as_periodic: axes between walls are
    taken as periodic. Both only compare with what has been published so (H^1 of Darcy flows: alpha = (2 pi / length)^2,
    cutoff = 20), and cutoff is for periodic axes alone. Raises InputError on other axes when s != 0, on an alpha out of
    range, and on a field of another grid.
    """

    def __init__(
        self, grid: Grid, s: float, alpha: float = 1.0, *, cutoff: int | None = None, as_periodic: bool = False
    ) -> None:
        if not alpha >= 0:
            raise InputError(f"loss.alpha={alpha}: wanted alpha > 0, or 0 where walls hold the field")
        if cutoff is not None and cutoff < 1:
            raise InputError(f"cutoff={cutoff}: wanted a harmonic, at least 1, or null")
        self.grid, self.s, self.alpha = grid, s, alpha
        self._l2 = Lp(grid) if s == 0 else None
        if s == 0:
            return
        space, d = grid.space, grid.space.ndim
        series = [None if axis.periodic or as_periodic else between_walls(axis) for axis in space]
        walls = [one is not None for one in series]
        bad = [a.name for a, wall in zip(space, walls, strict=True) if not (wall or a.periodic or as_periodic)]
        if bad or not space:
            raise InputError(
                f"an H^{s:g} norm needs periodic axes in space, chebyshev nodes, or uniform or cell ones with "
                f"bc='dirichlet' or 'neumann'; {bad or list(grid.names)} are not. Use the L2 norm (s=0) on this grid."
            )
        if cutoff is not None and any(walls):
            raise InputError(f"cutoff={cutoff} is for periodic axes: take it with as_periodic=true, or not at all")
        self._periodic = tuple(i - d for i, wall in enumerate(walls) if not wall)
        self._tables = [
            (i - d, _Weights(orthonormal(one) @ one.analysis())) for i, one in enumerate(series) if one is not None
        ]
        total = torch.zeros((), dtype=torch.float64)
        counts = torch.ones((), dtype=torch.float64)  # how often a coefficient of norm 1 is meant
        for i, (axis, one) in enumerate(zip(space, series, strict=True), -d):
            if one is not None:
                eigenvalues, times = one.eigen().eigenvalues, torch.ones(one.modes, dtype=torch.float64)
            else:
                half = i == self._periodic[-1]
                kappa = wavenumbers(axis, half=half)
                if cutoff is not None:
                    kappa = kappa.where(kappa.abs() < (cutoff - 0.5) * 2 * pi / axis.length, 0.0)
                eigenvalues = kappa**2
                times = axis.length * (half_spectrum_weights(axis.n) if half else torch.ones_like(kappa))
            total, counts = total.unsqueeze(-1) + eigenvalues, counts.unsqueeze(-1) * times
        weights = counts * weights_of(total, s, alpha)
        if grid.time:
            weights = grid.time.weights().view(-1, *(1,) * d) * weights
        self._weights = _Weights(weights)

    def __call__(self, u: Tensor) -> Tensor:
        if self._l2 is not None:
            return self._l2(u)
        check_shape(u, self.grid)
        c = _exact(u)
        for dim, table in self._tables:
            c = along(table.like(c), c, dim)
        if self._periodic:
            c = torch.fft.rfftn(c, dim=self._periodic, norm="forward")
        energy = self._weights.like(c.real if c.is_complex() else c) * _squares(c)
        return root(energy.sum(tuple(range(-self.grid.ndim, 0))), 2)


class CoefficientSum:
    """(sum_k c_k^2)^(1/2) over the coefficients of cosines and sines on periodic axes and of Chebyshev polynomials on
    chebyshev ones, time included: of a residual, the root of the loss of Neural Spectral Methods as published.

    Only to compare with what has been published so: on a chebyshev axis it is, up to the mean, the L2 norm with the
    weight 1 / sqrt(x (length - x)) of the ends, with 31 modes between 0.9 and 5.8 times that without (length 1).
    Source: Du, Chalapathi and Krishnapriyan, Neural spectral methods, ICLR 2024.
    Raises InputError on other axes, and on a field of another grid.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._basis = Expansion([FourierSeries(a) if a.periodic else ChebyshevSeries(a) for a in grid])

    def __call__(self, u: Tensor) -> Tensor:
        check_shape(u, self.grid)
        c = self._basis.to_modes(_exact(u))
        return root(c.square().sum(tuple(range(-self.grid.ndim, 0))), 2)


class H1:
    """||u||^2 = int alpha u^2 + |grad u|^2 dx, by quadrature and differences between neighbouring nodes: on any grid.

    A difference counts for the interval between its nodes, the first and the last one of an axis that is not periodic
    also for what lies beyond them. Second order in the distance of nodes, first where nodes keep off the ends. A time
    axis is integrated by quadrature: the norm of L2(0, T; H^1).
    Raises InputError on an axis of a single node, and on a field of another grid.
    """

    def __init__(self, grid: Grid, alpha: float = 1.0) -> None:
        if not alpha > 0:
            raise InputError(f"alpha={alpha}: wanted alpha > 0 (a constant has no slope)")
        self.grid, self.alpha = grid, alpha
        self._l2 = Lp(grid)
        each = [axis.weights() for axis in grid]
        self._slopes = []  # axes with the weights of their differences
        for i, axis in enumerate(grid):
            if axis is grid.time:
                continue
            if axis.n < 2:
                raise InputError(f"axis {axis.name!r} has one node: there is no slope along it")
            distances, lengths = _intervals(axis)
            weights = torch.ones((), dtype=torch.float64)
            for j in range(grid.ndim):
                weights = weights.unsqueeze(-1) * (lengths / distances**2 if i == j else each[j])
            self._slopes.append((i - grid.ndim, axis.periodic, _Weights(weights)))

    def __call__(self, u: Tensor) -> Tensor:
        check_shape(u, self.grid)
        u = _exact(u)
        total = self.alpha * self._l2(u).square()
        for dim, periodic, weights in self._slopes:
            steps = u.roll(-1, dim) - u if periodic else u.diff(dim=dim)
            energy = _squares(steps)
            total = total + (weights.like(energy) * energy).sum(tuple(range(-self.grid.ndim, 0)))
        return root(total, 2)


def _intervals(axis: Axis) -> tuple[Tensor, Tensor]:
    """Distances between neighbouring nodes, and the lengths that the slopes there stand for."""
    if axis.periodic:
        h = torch.full((axis.n,), axis.length / axis.n, dtype=torch.float64)
        return h, h
    points = axis.points()
    distances = points.diff()
    lengths = distances.clone()
    lengths[0] += points[0] - axis.start
    lengths[-1] += axis.start + axis.length - points[-1]
    return distances, lengths


class OnLattice:
    """The norm of a field on its own lattice: that of `grid` with the field's numbers of nodes in space.

    norm: makes the norm of a grid; it is called once for each that comes, for `grid` at once. Time keeps its nodes.
    Raises InputError as the norms do.
    """

    def __init__(self, grid: Grid, norm: Callable[[Grid], Norm]) -> None:
        self.grid, self._make = grid, norm
        self._made = {grid: norm(grid)}

    def __call__(self, u: Tensor) -> Tensor:
        grid = self.grid.resized_in_space(u.shape[u.ndim - self.grid.space.ndim :])
        if grid not in self._made:
            self._made[grid] = self._make(grid)
        return self._made[grid](u)


def energy_norm(grid: Grid, alpha: float = 1.0) -> Sobolev | H1:
    """H^1: by Parseval on tori, by differences where space has walls."""
    return Sobolev(grid, 1, alpha) if all(axis.periodic for axis in grid.space) else H1(grid, alpha)


def weak_norm(grid: Grid, alpha: float = 1.0) -> Sobolev:
    """The norm in which residuals are recorded: H^-1 on tori, L2 where space has walls."""
    return Sobolev(grid, -1 if all(axis.periodic for axis in grid.space) else 0, alpha)
