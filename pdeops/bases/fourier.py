"""Fourier series on periodic axes.

Coefficients are those of the function, independent of the number of nodes (`norm="forward"`):
u(x) = sum_k c_k exp(i kappa_k x), kappa_k = 2 pi k / length. Real fields keep the half spectrum k >= 0 of
their last axis. On an even lattice the Nyquist mode stands for +n/2 and -n/2 together; derivatives of odd
order and products drop it, resampling splits it evenly.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid


def wavenumbers(axis: Axis, *, half: bool = False) -> Tensor:
    """kappa_k = 2 pi k / length in FFT order, float64: (n,), or (n // 2 + 1,) for `half` (k >= 0)."""
    freq = torch.fft.rfftfreq if half else torch.fft.fftfreq
    return 2 * pi / axis.length * freq(axis.n, 1 / axis.n, dtype=torch.float64)


def half_spectrum_weights(n: int) -> Tensor:
    """How often each of the n // 2 + 1 half-spectrum modes counts in Parseval's sum: 1, 2, ..., 2 (and 1
    for the Nyquist mode of an even n)."""
    w = torch.full((n // 2 + 1,), 2.0, dtype=torch.float64)
    w[0] = 1
    if n % 2 == 0:
        w[-1] = 1
    return w


def resample(u: Tensor, shape: Sequence[int]) -> Tensor:
    """Trigonometric interpolation of a real field's last `len(shape)` axes to `shape` nodes per period.

    Refining evaluates the interpolant at the new nodes; coarsening evaluates the part with |k| <= n / 2.
    Exact for every function that both lattices resolve.
    """
    dtype = u.dtype
    u = u.to(torch.promote_types(dtype, torch.float32))  # transforms need single precision at least
    for dim, n_out in zip(range(-len(shape), 0), shape, strict=True):
        n_in = u.shape[dim]
        if n_out == n_in:
            continue
        c = torch.fft.rfft(u, dim=dim, norm="forward")
        if n_out > n_in and n_in % 2 == 0:
            c = _scale_mode(c, n_in // 2, 0.5, dim)  # the Nyquist mode splits into its two halves ...
        elif n_out < n_in and n_out % 2 == 0:
            c = _scale_mode(c, n_out // 2, 2.0, dim)  # ... and two such halves fold into one
        u = torch.fft.irfft(c, n=n_out, dim=dim, norm="forward")
    return u.to(dtype)


def _scale_mode(c: Tensor, k: int, factor: float, dim: int) -> Tensor:
    scale = torch.ones(c.shape[dim], dtype=c.real.dtype, device=c.device)
    scale[k] = factor
    return c * scale.view(-1, *(1,) * (-dim - 1))


def derivative(u: Tensor, axis: Axis, dim: int, order: int = 1) -> Tensor:
    """The `order`-th derivative of a real field along dimension `dim`, exact below the Nyquist mode."""
    kappa = wavenumbers(axis, half=True).to(u.device)
    multiplier = (1j * kappa) ** order
    if axis.n % 2 == 0 and order % 2:
        multiplier[-1] = 0
    dim = dim % u.ndim - u.ndim
    multiplier = multiplier.view(-1, *(1,) * (-dim - 1))
    c = torch.fft.rfft(u, dim=dim)
    return torch.fft.irfft(c * multiplier.to(c.dtype), n=axis.n, dim=dim)


def solenoidal(u: Tensor, grid: Grid) -> Tensor:
    """Helmholtz' projection u - grad Laplace^-1 div u of real vector fields (B, d, ..., *grid.shape), of u's shape.

    Exact: for k.u_k = 0 in every mode. Nyquist modes become zero, since a lattice holds but one half of each pair, of
    which no field without divergence is made. Raises InputError unless there is one component per axis.
    """
    d = grid.ndim
    if u.shape[1] != d or u.shape[-d:] != grid.shape:
        raise InputError(
            f"fields {tuple(u.shape)} on {grid}: wanted a vector of {d} components, one per axis, at every node"
        )
    basis = Fourier(grid, device=u.device, dtype=u.dtype)
    c = basis.to_modes(u.movedim(1, -d - 1))
    return basis.to_values(basis.solenoidal(c)).movedim(-d - 1, 1)


def place(c: Tensor, dim: int, n: int) -> Tensor:
    """The modes of an axis in FFT order, on an axis of n entries: those |k| < n / 2 that both hold, zeros between."""
    size = c.shape[dim]
    top = (min(size, n) - 1) // 2
    low, high = c.narrow(dim, 0, top + 1), c.narrow(dim, size - top, top)
    gap = n - 2 * top - 1
    if gap == 0:
        return torch.cat((low, high), dim)
    shape = list(c.shape)
    shape[dim] = gap
    return torch.cat((low, c.new_zeros(shape), high), dim)


class Fourier:
    """The trigonometric polynomials |k_i| < n_i / 2 on a periodic grid, with exact products.

    Coefficients are those of the kept modes alone, (..., 2 K_1 + 1, ..., K_d + 1), K = (n - 1) // 2: FFT order,
    and k >= 0 on the last axis. Products of `degree` fields are formed on a lattice of at least (degree + 1) K + 1
    nodes per axis, so that `to_modes` of them is the exact L2 projection (Orszag, J. Atmos. Sci. 28, 1971: for
    products of two, three halves of the nodes).

    Attributes: `k`, one broadcastable wavenumber tensor per axis; `k2` = |k|^2; `multiplicity`, how often a coefficient
    counts in Parseval's sum; `shape`, the finer lattice.
    Raises InputError on an axis that is not periodic.
    """

    def __init__(
        self,
        grid: Grid,
        *,
        degree: int = 2,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        for axis in grid:
            if not axis.periodic:
                raise InputError(f"axis {axis.name!r} has {axis.nodes} nodes; a Fourier basis needs periodic axes")
        self.grid = grid
        self._sizes = [2 * ((n - 1) // 2) + 1 for n in grid.shape]
        self.shape = tuple(_fast_even((degree + 1) * (n // 2) + 1) for n in self._sizes)
        self.k: list[Tensor] = []
        for i, (axis, n) in enumerate(zip(grid, self._sizes, strict=True)):
            kappa = wavenumbers(axis.resized(n), half=i == grid.ndim - 1)
            self.k.append(kappa.view(-1, *(1,) * (grid.ndim - 1 - i)).to(device, dtype))
        self.k2 = sum((k * k for k in self.k), start=torch.zeros((), device=device, dtype=dtype))
        self.multiplicity = half_spectrum_weights(self._sizes[-1]).to(device, dtype)

    def points(self) -> list[Tensor]:
        """The coordinates of the finer lattice, one broadcastable tensor per axis."""
        d = self.grid.ndim
        return [
            axis.resized(n).points().view(-1, *(1,) * (d - 1 - i)).to(self.k2)
            for i, (axis, n) in enumerate(zip(self.grid, self.shape, strict=True))
        ]

    def to_modes(self, u: Tensor) -> Tensor:
        """Values on any lattice of the torus (..., *lattice) -> coefficients. Modes at or above the lattice's Nyquist
        frequency count as zero."""
        kept = self._sizes[-1] // 2 + 1
        held = min(kept, (u.shape[-1] + 1) // 2)
        c = torch.fft.rfft(u, norm="forward").narrow(-1, 0, held)
        if held < kept:
            c = torch.nn.functional.pad(c, (0, kept - held))
        for dim in range(-2, -self.grid.ndim - 1, -1):  # only the kept modes of one axis are transformed along the next
            c = place(torch.fft.fft(c, dim=dim, norm="forward"), dim, self._sizes[dim])
        return c

    def solenoidal(self, c: Tensor) -> Tensor:
        """Helmholtz' projection c - k (k . c) / |k|^2 of coefficients of vectors (..., d, *spectrum)."""
        k = torch.stack(torch.broadcast_tensors(*self.k))
        along = (k * c).sum(-self.grid.ndim - 1, keepdim=True) / torch.where(self.k2 > 0, self.k2, torch.inf)
        return c - k * along

    def to_fine(self, c: Tensor) -> Tensor:
        """Coefficients -> values on the finer lattice (..., *shape)."""
        return self._evaluate(c, self.shape)

    def to_values(self, c: Tensor, grid: Grid | None = None) -> Tensor:
        """Coefficients -> values on `grid` (default: the basis's own), another lattice of the same torus; modes that
        it does not hold are left out."""
        return self._evaluate(c, (grid or self.grid).shape)

    def _evaluate(self, c: Tensor, shape: Sequence[int]) -> Tensor:
        d, n = self.grid.ndim, shape[-1]
        c = c.narrow(-1, 0, min(c.shape[-1], (n + 1) // 2))
        for dim in range(-d, -1):
            c = torch.fft.ifft(place(c, dim, shape[dim]), dim=dim, norm="forward")
        return torch.fft.irfft(c, n=n, norm="forward")


def _fast_even(n: int) -> int:
    """The least even number, not below n, with an unpadded fast transform."""
    while (n := next_fast_len(n, real=True)) % 2:
        n += 1
    return n
