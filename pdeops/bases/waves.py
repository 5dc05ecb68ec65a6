"""Series of sines and cosines on a circle or between walls: kappa = 2 pi k / length or pi k / length.

Tables are float64, coefficients in columns. Truncating a series or appending zeros resizes it, Nyquist modes included.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from math import pi
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from pdeops.bases import continuation, tables
from pdeops.bases.polynomials import Fine, Spectrum, check_nodes, checked_modes
from pdeops.errors import InputError
from pdeops.grid import Axis, Nodes


@dataclass(frozen=True)
class _Waves(ABC):
    """What all of them share; `modes`: None for as many as the nodes tell apart."""

    axis: Axis
    modes: int = None  # type: ignore[assignment]

    family: ClassVar[str]
    kinds: ClassVar[tuple[Nodes, ...]] = ("cell", "uniform")

    def __post_init__(self) -> None:
        check_nodes(self.axis, self.family, *self.kinds)
        object.__setattr__(self, "modes", checked_modes(self.axis, self.modes, self._held()))

    def _held(self) -> int:
        return self.axis.n

    @property
    @abstractmethod
    def kappa(self) -> Tensor:
        """(modes,), ascending."""

    @property
    @abstractmethod
    def sine(self) -> Tensor:
        """(modes,): whether the function is a sine."""

    def resized(self, modes: int) -> Self:
        return replace(self, modes=modes)

    def values(self, x: Tensor, order: int = 0) -> Tensor:
        """(len(x), modes): the functions' derivatives of an order at any places; order -1: their integrals from the
        start on."""
        kappa, sine = self.kappa.to(x.device), self.sine.to(x.device)
        x = x.detach().double().view(-1, 1) - self.axis.start
        cos, sin = torch.cos(kappa * x), torch.sin(kappa * x)
        for _ in range(order % 4):
            cos, sin = -sin, cos
        waves = torch.where(sine, sin, cos)
        if order >= 0:
            return kappa**order * waves
        return torch.where(kappa > 0, (waves + sine.double()) / torch.where(kappa > 0, kappa, 1.0), x)

    def diff(self, order: int = 1) -> Tensor:
        """(modes, modes): coefficients of a derivative of even order. Raises InputError on an odd one."""
        if order % 2:
            raise InputError(
                f"the derivative of order {order} of a {self.family} series of axis {self.axis.name!r} is none of its "
                f"kind: take `values(x, order={order})`, or an even order"
            )
        return ((-1) ** (order // 2) * self.kappa**order).diag()

    def gram(self) -> Tensor:
        """int phi_j phi_k dx, diagonal."""
        return (self.axis.length * torch.where(self.kappa > 0, 0.5, 1.0).double()).diag()

    def stiffness(self) -> Tensor:
        """int phi_j' phi_k' dx, diagonal."""
        return self.gram() * self.kappa**2

    def eigen(self) -> Spectrum:
        """The functions themselves, scaled."""
        return Spectrum(self.kappa**2, self.gram().diagonal().rsqrt().diag())


@dataclass(frozen=True)
class FourierSeries(_Waves):
    """1, cos(kappa_1 x), sin(kappa_1 x), cos(kappa_2 x), ..., x from the start of a periodic axis. An even number of
    modes ends with a cosine, whose derivatives of odd order count as zero.

    Raises InputError on other nodes and if modes < 1.
    """

    family = "Fourier"
    kinds = ("periodic",)

    @property
    def kappa(self) -> Tensor:
        return 2 * pi / self.axis.length * ((torch.arange(self.modes) + 1) // 2).double()

    @property
    def sine(self) -> Tensor:
        k = torch.arange(self.modes)
        return (k % 2 == 0) & (k > 0)

    def analysis(self, n: int | None = None) -> Tensor:
        """(modes, n): values at n nodes -> coefficients of the trigonometric polynomial through them."""
        n = n or self.axis.n
        kept = min(self.modes, n)
        re, im = tables.Fourier(half=True).analysis(n, kept // 2 + 1)
        assert im is not None
        both = torch.stack([2 * re, -2 * im], 1).flatten(0, 1)
        table = torch.cat([both[:1] / 2, both[2:]])[:kept]  # without the sine of 0, and that of a Nyquist mode
        return pad(table, [0, 0, 0, self.modes - kept])

    def diff(self, order: int = 1) -> Tensor:
        """(modes, modes): coefficients of the derivative."""
        if order % 2 == 0:
            return super().diff(order)
        cosines = torch.arange(1, max(self.modes - 1, 1), 2)
        slope = (-1) ** (order // 2) * self.kappa[cosines] ** order
        table = torch.zeros(self.modes, self.modes, dtype=torch.float64)
        table[cosines + 1, cosines], table[cosines, cosines + 1] = -slope, slope
        return table

    def fine(self, degree: int = 2) -> Fine:
        """Nodes on which products of `degree` series are projected exactly."""
        n = (degree + 1) * (self.modes // 2) + 1
        points = self.axis.resized(n).points()
        return Fine(points, self.values(points), self.analysis(n))

    def analyse(self, u: Tensor) -> Tensor:
        """`analysis` by the FFT: (..., n) -> (..., modes)."""
        n = u.shape[-1]
        c = torch.fft.rfft(u, norm="forward")
        both = torch.stack([2 * c.real, -2 * c.imag], -1).flatten(-2)
        last = both[..., n : n + 1] / 2 if n % 2 == 0 else both[..., n : n + 1]  # the Nyquist mode is alone
        return _sized(torch.cat([both[..., :1] / 2, both[..., 2:n], last], -1), self.modes)

    def synthesise(self, c: Tensor, n: int) -> Tensor:
        """(..., modes) -> values at n nodes (..., n), n >= modes, by the FFT."""
        half = torch.full((n // 2 + 1,), 0.5, device=c.device)
        half[0] = 1
        if n % 2 == 0:
            half[-1] = 1
        parts = _sized(torch.cat([c[..., :1], torch.zeros_like(c[..., :1]), c[..., 1:]], -1), 2 * len(half))
        re, im = parts.unflatten(-1, (-1, 2)).unbind(-1)
        half = half.to(c.dtype)
        return torch.fft.irfft(torch.complex(half * re, -half * im), n=n, norm="forward")


class _BetweenWalls(_Waves):
    """Sines alone, or cosines alone."""

    odd: ClassVar[bool]

    @property
    def sine(self) -> Tensor:
        return torch.full((self.modes,), self.odd)

    @property
    def kappa(self) -> Tensor:
        return pi / self.axis.length * (torch.arange(self.modes, dtype=torch.float64) + self.odd)

    def analysis(self, n: int | None = None) -> Tensor:
        """(modes, n): values at n nodes -> coefficients of the series through them."""
        return _analysis(self.axis.resized(n or self.axis.n), self.odd, self.modes)

    def analyse(self, u: Tensor) -> Tensor:
        """`analysis` by the FFT: (..., n) -> (..., modes)."""
        return _sized(continuation.analysis(u, self.odd, self.axis.nodes != "cell"), self.modes)

    def synthesise(self, c: Tensor, n: int) -> Tensor:
        """(..., modes) -> values at n nodes (..., n) that tell all of them apart, by the FFT."""
        return continuation.synthesis(c, n, self.odd, self.axis.nodes != "cell")


@dataclass(frozen=True)
class CosineSeries(_BetweenWalls):
    """cos(pi k (x - start) / length), k = 0 .. modes - 1: slope 0 at both walls.

    Raises InputError on nodes that are neither cell nor uniform and if modes < 1.
    """

    family = "cosine"
    odd = False

    def fine(self, degree: int = 2) -> Fine:
        """Cell centres on which products of `degree` series are projected exactly."""
        cells = replace(self.axis, nodes="cell", n=(degree + 1) * self.modes // 2 + 1)
        return Fine(cells.points(), self.values(cells.points()), _analysis(cells, False, self.modes))


@dataclass(frozen=True)
class SineSeries(_BetweenWalls):
    """sin(pi k (x - start) / length), k = 1 .. modes: zero at both walls; values given there do not count.

    Raises InputError on nodes that are neither cell nor uniform and if modes < 1.
    """

    family = "sine"
    odd = True

    def _held(self) -> int:
        return self.axis.n - 2 if self.axis.nodes == "uniform" else self.axis.n

    def fine(self, degree: int = 2) -> Fine:
        """Cell centres on which products of `degree` series are projected exactly: an odd number of sines is a series
        of sines, an even one of cosines, whose products with sines have integrals in closed form."""
        n = degree * self.modes + 1 if degree % 2 == 0 else (degree + 1) * self.modes // 2 + 1
        cells = replace(self.axis, nodes="cell", n=n)
        projection = _analysis(cells, True, self.modes)
        if degree % 2 == 0:
            k, j = torch.arange(1.0, self.modes + 1).double().view(-1, 1), torch.arange(n).double()
            # 2 / pi int_0^pi sin(k t) cos(j t) dt
            onto = torch.where((k + j) % 2 == 1, 4 / pi * k / (k**2 - j**2), 0.0)
            projection = onto @ _analysis(cells, False, n)
        return Fine(cells.points(), self.values(cells.points()), projection)


def _analysis(axis: Axis, sine: bool, modes: int) -> Tensor:
    basis = tables.Trigonometric(sine, axis.nodes != "cell")
    kept = min(modes, basis.resolved(axis.n))
    return pad(basis.analysis(axis.n, kept).real, [0, 0, 0, modes - kept])


def _sized(c: Tensor, modes: int) -> Tensor:
    """Truncated, or with zeros appended."""
    return pad(c, [0, modes - c.shape[-1]])
