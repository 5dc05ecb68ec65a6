"""Truncated transforms of one axis as small real matrices, built in float64.

A field's coefficients are those of the function sum_k c_k phi_k, so they do not depend on the number of nodes. Complex
coefficients are pairs of real ones, and a table maps whole pairs where an axis before it in the transform was complex
already. Rows and columns are ordered so that what one axis leaves is, reshaped, what the next one takes:

    role   analysis                                        synthesis
    real   (k, n)                                          (n, k)
    half   (2k, n)    rows (part, f)                       (n, 2k)    columns (part, f)
    pair   (2k, 2n)   rows (part, f), columns (j, part)    (2n, 2k)   rows (j, part), columns (part, f)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from pdeops.bases.polynomials import DIRICHLET, Condition, Ends, LegendreSeries, ShenSeries
from pdeops.constants import constant, plain
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid, Nodes

Role = Literal["real", "half", "pair"]
Name = Literal["fourier", "cosine", "sine", "chebyshev", "legendre", "eigen"]
OFFSETS = {"periodic": 0.0, "left": 0.0, "cell": 0.5, "right": 1.0}  # of the first node, in spacings


class Ansatz(NamedTuple):
    """u(t) = u(start) + sum_f c_f (exp(2 pi i f (t - start) / period) - 1), `modes` whole numbers f around zero: from
    -floor(modes / 2) on, complex c_f (a real series therefore holds cosines and sines of all |f|)."""

    period: float
    modes: int
    start: float


class Parts(NamedTuple):
    """A complex matrix, or a real one (imag None), float64."""

    real: Tensor
    imag: Tensor | None = None


@dataclass(frozen=True)
class Fourier:
    """exp(2 pi i f x / period), f = -floor(k/2) .. k - floor(k/2) - 1, or f = 0 .. k - 1 of a real field (`half`).

    The lattice is taken by its indices, its n spacings being the period; `offset`: where its first node lies, in
    spacings, which matters where another lattice of the same period is evaluated. A Nyquist mode is two halves at
    +-n/2.
    """

    half: bool
    offset: float = 0.0

    def resolved(self, n: int) -> int:
        return n // 2 + 1 if self.half else 2 * (n // 2) + 1

    def first(self, stored: int, kept: int) -> int:
        """Where the kept frequencies start among the stored ones."""
        return 0 if self.half else stored // 2 - kept // 2

    def interpolating(self) -> Fourier:
        return self

    def analysis(self, n: int, k: int) -> Parts:
        f = self._frequencies(k)
        angle = _angles(f, n)
        scale = _where(2 * f.abs() == n, 0.5, 1.0) / n
        return Parts(scale * angle.cos(), -scale * angle.sin())

    def synthesis(self, n: int, k: int, n_in: int, stored: int) -> Parts:
        f = self._frequencies(k)
        angle = _angles(f, n) + 2 * pi * self.offset * (1 / n - 1 / n_in) * f.double().view(-1, 1)
        if self.half:
            scale = _where(f == 0, 1.0, 2.0)  # each f > 0 together with its conjugate
        else:  # -n/2 analysed on this very lattice and stored without n/2 stands for both halves of the Nyquist mode
            scale = _where((2 * f == -n) & (stored == k == n == n_in), 2.0, 1.0)
        return Parts((scale * angle.cos()).T, (scale * angle.sin()).T)

    def _frequencies(self, k: int) -> Tensor:
        return torch.arange(k) if self.half else torch.arange(-(k // 2), k - k // 2)


@dataclass(frozen=True, kw_only=True)
class Increment(Fourier):
    """exp(2 pi i f t / period) - 1, which vanishes at t = 0: a series' growth since then, at the nodes of `times`.

    Coefficients are those of `Fourier` on a lattice of the period from t = 0 on; only what is evaluated differs.
    """

    times: Axis
    period: float

    def synthesis(self, n: int, k: int, n_in: int, stored: int) -> Parts:
        angle = 2 * pi / self.period * torch.outer(self.times.points(), self._frequencies(k).double())
        return Parts(angle.cos() - 1, angle.sin())


@dataclass(frozen=True)
class Trigonometric:
    """cos(k theta), k = 0, 1, ..., or sin(k theta), k = 1, 2, ..., theta = pi x / length; on Chebyshev points, where
    cos(theta) = 1 - 2 x / length, the cosines are the Chebyshev polynomials (up to sign).

    ends: nodes theta = pi j / (n - 1), both ends among them; else cell centres theta = pi (j + 1/2) / n.
    """

    sine: bool
    ends: bool

    def resolved(self, n: int) -> int:
        return n - 2 if self.sine and self.ends else n

    def first(self, stored: int, kept: int) -> int:
        return 0

    def interpolating(self) -> Trigonometric:
        """The basis of the same nodes that holds any values there."""
        return Trigonometric(False, self.ends)

    def analysis(self, n: int, k: int) -> Parts:
        spacings = n - 1 if self.ends else n
        f = self._frequencies(k)
        scale = _where(f % spacings == 0, 1.0, 2.0) / spacings  # the mean and a Nyquist mode have norm 1, not 1/2
        table = scale * self._values(n, k)
        if self.ends and not self.sine:  # half weights at both ends
            j = torch.arange(n)
            table = table * torch.where((j == 0) | (j == n - 1), 0.5, 1.0).double()
        return Parts(table)

    def synthesis(self, n: int, k: int, n_in: int, stored: int) -> Parts:
        return Parts(self._values(n, k).T)

    def _values(self, n: int, k: int) -> Tensor:
        """(k, n); the integer product of k and 2 j (+ 1) is reduced first."""
        spacings, shift = (n - 1, 0) if self.ends else (n, 1)
        product = torch.outer(self._frequencies(k), 2 * torch.arange(n) + shift)
        angle = pi / (2 * spacings) * torch.remainder(product, 4 * spacings).double()
        return angle.sin() if self.sine else angle.cos()

    def _frequencies(self, k: int) -> Tensor:
        return torch.arange(k) + (1 if self.sine else 0)


@dataclass(frozen=True)
class Legendre:
    """Legendre's polynomials, values on chebyshev nodes: the polynomial through them has all of its coefficients."""

    def resolved(self, n: int) -> int:
        return n

    def first(self, stored: int, kept: int) -> int:
        return 0

    def interpolating(self) -> Legendre:
        return self

    def analysis(self, n: int, k: int) -> Parts:
        return Parts(_to_modes(LegendreSeries(_interval(n), k), None))

    def synthesis(self, n: int, k: int, n_in: int, stored: int) -> Parts:
        return Parts(_to_nodes(LegendreSeries(_interval(n), k), None))


@dataclass(frozen=True)
class Eigen:
    """The eigenfunctions of -d^2/dx^2 among the polynomials of `modes` coefficients that satisfy the conditions at both
    `ends`, or among all (None), orthonormal on an interval of length 1; values on chebyshev nodes, by L2 projection of
    the polynomial through them.

    The same functions on any number of nodes: sines or cosines, but for the upper third, which completes the
    polynomials.
    """

    modes: int
    ends: Ends | None

    def resolved(self, n: int) -> int:
        return min(self.modes, n if self.ends is None else n - 2)

    def first(self, stored: int, kept: int) -> int:
        return 0

    def interpolating(self) -> Legendre:
        """The basis of the same nodes that holds any values there."""
        return Legendre()

    def analysis(self, n: int, k: int) -> Parts:
        return Parts(_to_modes(self._series(n), k))

    def synthesis(self, n: int, k: int, n_in: int, stored: int) -> Parts:
        return Parts(_to_nodes(self._series(n), k))

    def _series(self, n: int) -> Polynomials:
        axis = _interval(n)
        return LegendreSeries(axis, self.modes) if self.ends is None else ShenSeries(axis, self.modes, *self.ends)


Polynomials = LegendreSeries | ShenSeries


def _interval(n: int) -> Axis:
    if not isinstance(n, int):
        raise InputError(
            "tables of Legendre polynomials and eigenfunctions are for fixed sizes: export without dynamic ones"
        )
    return Axis("x", n, nodes="chebyshev")


@plain
def _to_modes(series: Polynomials, eigen: int | None) -> Tensor:
    """Values -> coefficients, or those of the first eigenfunctions."""
    table = series.analysis()
    return table if eigen is None else series.eigen().vectors[:, :eigen].T @ series.gram() @ table


@plain
def _to_nodes(series: Polynomials, eigen: int | None) -> Tensor:
    """The functions, or the first eigenfunctions, at the nodes."""
    table = series.values(series.axis.points())
    return table if eigen is None else table @ series.eigen().vectors[:, :eigen]


Basis = Fourier | Trigonometric | Legendre | Eigen


def bases(grid: Grid, names: Sequence[Name], ends: Mapping[str, Ends] | None = None) -> tuple[Basis, ...]:
    """The basis of each axis; the last Fourier axis takes the half spectrum of a real field.

    "fourier" goes by indices on any nodes; "cosine" and "sine" need cell or uniform nodes, "chebyshev", "legendre" and
    "eigen" chebyshev ones. "eigen" has the functions of as many polynomials as the axis' nodes hold, that satisfy the
    conditions at the `ends` of the axes named there, and vanish at the walls of others if their boundary type is
    "dirichlet". Raises InputError on another name and on nodes that do not fit.
    """
    last = max((i for i, name in enumerate(names) if name == "fourier"), default=-1)
    chosen = enumerate(zip(grid, names, strict=True))
    return tuple(_basis(axis, name, i == last, (ends or {}).get(axis.name)) for i, (axis, name) in chosen)


def _basis(axis: Axis, name: Name, half: bool, ends: Ends | None) -> Basis:
    if name not in get_args(Name):
        raise InputError(f"basis {name!r} of axis {axis.name!r}; wanted one of {get_args(Name)}")
    if name == "fourier":
        return Fourier(half, OFFSETS.get(axis.nodes, 0.0))
    fits: tuple[Nodes, ...] = ("cell", "uniform") if name in ("cosine", "sine") else ("chebyshev",)
    if axis.nodes not in fits:
        raise InputError(
            f"basis {name!r} is for {' or '.join(fits)} nodes; axis {axis.name!r} has {axis.nodes} ones: take fourier"
        )
    if name == "legendre":
        return Legendre()
    if name == "eigen":
        if axis.n < 3:
            raise InputError(f"basis 'eigen' of axis {axis.name!r} with {axis.n} nodes; wanted at least 3")
        if ends is not None:  # of slopes on a unit interval
            first, last = (Condition(c.alpha, c.beta / axis.length) for c in ends)
            return Eigen(axis.n - 2, (first, last))
        return Eigen(axis.n - 2, (DIRICHLET, DIRICHLET)) if axis.bc == "dirichlet" else Eigen(axis.n, None)
    return Trigonometric(name == "sine", axis.nodes != "cell")


@constant
def analysis(what: tuple[Basis, Role], sizes: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """sizes = (n, k): values at n nodes to the first k coefficients (of a full Fourier axis: those around zero)."""
    basis, role = what
    re, im = basis.analysis(*sizes)
    if role == "real":
        table = re
    elif role == "half":
        assert im is not None
        table = torch.cat([re, im])
    else:
        im = torch.zeros_like(re) if im is None else im
        table = torch.cat([torch.stack([re, -im], -1), torch.stack([im, re], -1)]).flatten(1)
    return table.to(device, dtype)


@constant
def synthesis(
    what: tuple[Basis, Role], sizes: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device
) -> Tensor:
    """sizes = (n, k, n_in, stored): k of the stored coefficients, of a field on n_in nodes, to values at n nodes."""
    basis, role = what
    re, im = basis.synthesis(*sizes)
    if role == "real":
        table = re
    elif role == "half":
        assert im is not None
        table = torch.cat([re, -im], dim=1)
    else:
        im = torch.zeros_like(re) if im is None else im
        table = torch.stack([torch.cat([re, -im], 1), torch.cat([im, re], 1)], dim=1).flatten(0, 1)
    return table.contiguous().to(device, dtype)


def _angles(frequencies: Tensor, n: int) -> Tensor:
    """2 pi f j / n for (f, j), the integer product reduced first."""
    whole = torch.full((), n)  # a tensor: ONNX has no remainder by a number that is a symbol
    return 2 * pi / n * torch.remainder(torch.outer(frequencies, torch.arange(n)), whole).double()


def _where(rows: Tensor, yes: float, no: float) -> Tensor:
    return torch.where(rows, yes, no).double().view(-1, 1)
