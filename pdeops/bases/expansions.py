"""Fields as tensor products of one-dimensional series, an axis each: coefficients (..., modes_1, ..., modes_d)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal, Protocol, TypeGuard, runtime_checkable

import torch
from torch import Tensor

from pdeops.bases.polynomials import Fine, LegendreSeries, ShenSeries, Spectrum
from pdeops.bases.waves import CosineSeries, SineSeries
from pdeops.constants import constant, plain
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

# An axis of more modes takes the FFT where there is one, but in half precision: quicker on a CPU from some 250 modes of
# Fourier series on, from some 700 of the others, which are those of a field of twice the length
CROSSOVER = 512
CHUNK = 2**22  # numbers held at once where series are evaluated at scattered places


class Series(Protocol):
    """Functions of one variable, on the interval of `axis`: those of `waves`, `chebyshev` and `polynomials`."""

    @property
    def axis(self) -> Axis: ...
    @property
    def modes(self) -> int: ...
    def resized(self, modes: int) -> Any: ...
    def values(self, x: Tensor, order: int = 0) -> Tensor: ...
    def analysis(self, n: int | None = None) -> Tensor: ...
    def diff(self, order: int = 1) -> Tensor: ...
    def gram(self) -> Tensor: ...
    def eigen(self) -> Spectrum: ...
    def fine(self, degree: int = 2) -> Fine: ...


@runtime_checkable
class Fast(Series, Protocol):
    """A series with transforms by the FFT."""

    def analyse(self, u: Tensor) -> Tensor: ...
    def synthesise(self, c: Tensor, n: int) -> Tensor: ...


Table = Literal["analysis", "synthesis", "diff", "fine", "projection", "orthonormal", "integrals"]


class Expansion:
    """u(x) = sum_k c_k prod_i phi_{k_i}(x_i), phi the functions of one series per axis.

    All that is integrated (products, norms, integrals) is integrated exactly. Tables are built in float64 and cast
    once; coefficients and values are of any real dtype, and keep it.

    Attributes: `series`; `grid`, the nodes of their axes; `modes`; `eigenvalues` (*modes), of -Laplace, those of the
    axes added up, float64. Raises InputError on tensors of other shapes, and where bases are mixed, naming both.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        self.series = tuple(series)
        self.grid = Grid(s.axis for s in self.series)
        self.modes = tuple(s.modes for s in self.series)

    @cached_property
    def eigenvalues(self) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for s in self.series:
            total = total.unsqueeze(-1) + s.eigen().eigenvalues
        return total

    def __repr__(self) -> str:
        return " x ".join(f"{type(s).__name__}({s.axis.name!r}, {s.modes})" for s in self.series)

    def resized(self, modes: Sequence[int]) -> Expansion:
        return Expansion([s.resized(m) for s, m in zip(self.series, modes, strict=True)])

    def to_modes(self, u: Tensor) -> Tensor:
        """Values (..., *n) on any numbers of the axes' nodes -> coefficients (..., *modes)."""
        for dim, s in self._axes():
            n = u.shape[dim]
            if _by_fft(s, u.dtype):
                u = s.analyse(u.movedim(dim, -1)).movedim(-1, dim)
            else:
                u = along(_table((s, "analysis"), (n,), u.dtype, u.device), u, dim)
        return u

    def to_values(self, c: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Coefficients -> values (..., *shape) on the axes' nodes, or on other numbers of them."""
        self._check(c)
        for (dim, s), n in zip(self._axes(), shape or self.grid.shape, strict=True):
            if _by_fft(s, c.dtype) and n >= s.modes + isinstance(s, SineSeries):
                c = s.synthesise(c.movedim(dim, -1), n).movedim(-1, dim)
            else:
                c = along(_table((s, "synthesis"), (n,), c.dtype, c.device), c, dim)
        return c

    def at(self, c: Tensor, *places: Tensor, orders: Sequence[int] | None = None) -> Tensor:
        """Values (..., len(x_1), ..., len(x_d)) at the tensor product of places x_i (n_i,), of the derivative of the
        given order along each axis (-1: the integral from its start on). Axis by axis."""
        self._check(c)
        for (dim, s), x, order in zip(self._axes(), places, orders or [0] * len(places), strict=True):
            c = along(s.values(x, order).to(c), c, dim)
        return c

    def at_points(self, c: Tensor, x: Tensor, orders: Sequence[int] | None = None) -> Tensor:
        """Values (..., N) at scattered places x (N, d); `orders` as in `at`. So many at once that memory is bounded."""
        self._check(c)
        size = max(1, CHUNK * self.modes[-1] // max(c.numel(), 1))
        return torch.cat([self._at_points(c, part, orders) for part in x.split(size)], -1)

    def _at_points(self, c: Tensor, x: Tensor, orders: Sequence[int] | None) -> Tensor:
        values = [
            s.values(x[:, i], order).to(c)
            for i, (s, order) in enumerate(zip(self.series, orders or [0] * len(self.series), strict=True))
        ]
        u = c @ values[-1].mT
        for table in reversed(values[:-1]):
            u = (u * table.mT).sum(-2)
        return u

    def derivative(self, c: Tensor, axis: int, order: int = 1) -> Tensor:
        """Coefficients of a derivative along an axis. Raises InputError where it is not of the same series."""
        self._check(c)
        dim = axis - len(self.series)
        return along(_table((self.series[axis], "diff"), (order,), c.dtype, c.device), c, dim)

    def resize(self, c: Tensor, source: Expansion) -> Tensor:
        """Coefficients of `source`, of other numbers of modes -> of this one: truncated, or with zeros appended.

        Raises InputError unless the families and intervals are the same."""
        if [*map(_family, self.series)] != [*map(_family, source.series)]:
            raise InputError(f"coefficients of {source} for {self}: the families and intervals of all axes must agree")
        source._check(c)
        return torch.nn.functional.pad(
            c, [e for a, b in zip(source.modes[::-1], self.modes[::-1], strict=True) for e in (0, b - a)]
        )

    def mul(self, a: Tensor, b: Tensor) -> Tensor:
        """Coefficients of the product's L2 projection onto the span, exact. Nothing is lost where it has room: `resize`
        both into an expansion of twice as many modes first."""
        return self.from_fine(self.to_fine(a) * self.to_fine(b))

    def to_fine(self, c: Tensor, degree: int = 2) -> Tensor:
        """Values on nodes enough for products of `degree` fields."""
        self._check(c)
        return self._along("fine", (degree,), c)

    def from_fine(self, u: Tensor, degree: int = 2) -> Tensor:
        """Products of at most `degree` fields, of which `to_fine` gave the values -> coefficients of the L2
        projection."""
        return self._along("projection", (degree,), u)

    def integral(self, c: Tensor) -> Tensor:
        """(...): int u dx over the box."""
        self._check(c)
        return self._along("integrals", (), c).flatten(-len(self.series)).squeeze(-1)

    def norm2(self, c: Tensor, s: float = 0.0, alpha: float = 1.0) -> Tensor:
        """(...): ||u||^2_{H^s} = sum_k (alpha + lambda_k)^s y_k^2, y the coefficients in the orthonormal eigenfunctions
        of -Laplace, lambda their eigenvalues; any real s. Raises InputError unless all alpha + lambda are positive."""
        self._check(c)
        weights = weights_of(self.eigenvalues, s, alpha).to(c)
        return (weights * self._along("orthonormal", (), c).square()).sum(tuple(range(-len(self.series), 0)))

    def _along(self, table: Table, sizes: tuple[int, ...], v: Tensor) -> Tensor:
        for dim, s in self._axes():
            v = along(_table((s, table), sizes, v.dtype, v.device), v, dim)
        return v

    def _axes(self) -> list[tuple[int, Series]]:
        return list(enumerate(self.series, -len(self.series)))

    def _check(self, c: Tensor) -> None:
        if tuple(c.shape[-len(self.modes) :]) != self.modes:
            raise InputError(
                f"coefficients {tuple(c.shape)} of {self}: wanted (..., {', '.join(map(str, self.modes))})"
            )


def along(table: Tensor, v: Tensor, dim: int) -> Tensor:
    """table (r, k) times v (..., k, ...) along its dimension `dim`: (..., r, ...)."""
    return (v.movedim(dim, -1) @ table.mT).movedim(-1, dim)


def weights_of(eigenvalues: Tensor, s: float, alpha: float) -> Tensor:
    """(alpha + lambda)^s. Raises InputError unless alpha > 0, or alpha = 0 and all eigenvalues of -Laplace are
    positive."""
    least = float(eigenvalues.min())
    if not (alpha > 0 or (alpha == 0 and least > 1e-12 * float(eigenvalues.max()))):
        raise InputError(f"alpha={alpha}: wanted alpha > 0, as the least eigenvalue of -Laplace here is {least:g}")
    return (alpha + eigenvalues) ** s


def orthonormal(series: Series) -> Tensor:
    """(modes, modes): coefficients -> those of the orthonormal eigenfunctions."""
    return series.eigen().vectors.T @ series.gram()


def between_walls(axis: Axis) -> Series | None:
    """The series whose eigenfunctions are those of -d^2/dx^2 on an axis with walls, by its nodes and boundary type:
    Shen's on chebyshev nodes with bc="dirichlet", all polynomials on others, sines or cosines on uniform and cell nodes
    with bc="dirichlet" or "neumann"; else None."""
    match axis.nodes, axis.bc:
        case "chebyshev", "dirichlet":
            return ShenSeries(axis)
        case "chebyshev", _:
            return LegendreSeries(axis)
        case "uniform" | "cell", "dirichlet":
            return SineSeries(axis)
        case "uniform" | "cell", "neumann":
            return CosineSeries(axis)
    return None


def _family(series: Any) -> Any:
    """The series of one mode, whatever its size and its axis' nodes: equal for those that may be mixed."""
    return replace(series, axis=series.axis.resized(8), modes=1)


def _by_fft(series: Series, dtype: torch.dtype) -> TypeGuard[Fast]:
    return series.modes > CROSSOVER and dtype.itemsize >= 4 and isinstance(series, Fast)


@constant
@plain
def _table(what: tuple[Series, Table], sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    series, table = what
    match table:
        case "analysis":
            made = series.analysis(*sizes)
        case "synthesis":
            made = series.values(series.axis.resized(*sizes).points())
        case "diff":
            made = series.diff(*sizes)
        case "fine":
            made = series.fine(*sizes).values
        case "projection":
            made = series.fine(*sizes).projection
        case "orthonormal":
            made = orthonormal(series)
        case "integrals":
            axis = series.axis
            made = series.values(torch.tensor([axis.start + axis.length], dtype=torch.float64), -1)
    return made.to(device, dtype)
