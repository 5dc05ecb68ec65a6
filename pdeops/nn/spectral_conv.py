"""The spectral convolution of neural operators, as real matrix products.

With few modes kept, a transform is a small matrix: analysis and synthesis are real GEMMs with the tables of
`bases.tables`, and the mixing of channels is one batched GEMM over the modes. Fields are channels-last here, (B, *n,
C), which makes every product's columns contiguous. An axis of which many modes are kept takes the FFT instead.

`modes` counts kept coefficients per axis: of a Fourier axis both signs together, -floor(k/2) .. k - floor(k/2) - 1,
the last of them its half 0 .. floor(k/2). On a grid too coarse for the stored modes, those it resolves are used,
each with the weight of its own frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pdeops.bases.tables import Basis, Fourier, Role, analysis, synthesis
from pdeops.errors import InputError
from pdeops.nn import tables
from pdeops.nn.mixing import Dense, Weights, mixing

Method = Literal["auto", "gemm", "fft"]
CROSSOVER = 256  # an axis of more coefficients, both signs together, takes the FFT (experiments/bench/fno/crossover.py)


class Transform:
    """Values on a lattice to coefficients of a tensor product of bases, and back to values on any lattice.

    method: "gemm" or "fft" on Fourier axes, "auto" the quicker one by the number of modes; exported programs have
    matrix products alone. `parts`: 2 where coefficients are complex, else 1; `roles`: of the axes, as in
    `bases.tables`. Raises InputError on another method.
    """

    def __init__(self, bases: Sequence[Basis], method: Method = "auto") -> None:
        if method not in get_args(Method):
            raise InputError(f"method={method!r}; wanted one of {get_args(Method)}")
        self.bases, self.method = tuple(bases), method
        split = max((i for i, basis in enumerate(bases) if isinstance(basis, Fourier) and basis.half), default=-1)
        self.roles: tuple[Role, ...] = tuple(
            "real" if i > split else "half" if i == split else "pair" for i in range(len(bases))
        )
        self.parts = 1 if split < 0 else 2

    def analyse(self, v: Tensor, kept: Sequence[int]) -> Tensor:
        """(B, *n, C) -> coefficients (B, parts, *kept, C)."""
        batch, *n, channels = v.shape
        z = v
        for i in reversed(range(len(n))):
            z = self.analyse_axis(z, i, batch * prod(n[:i]), n[i], kept[i])
        return z.view(batch, self.parts, *kept, channels)

    def analyse_axis(self, z: Tensor, i: int, rows: int, n: int, k: int) -> Tensor:
        """Values of `rows` fields at the n nodes of axis i, after the axes behind it, to k of their coefficients."""
        if self._by_fft(i, k, z.dtype):  # under autocast, of half precision after the first table
            pair = self.roles[i] == "pair"
            return _fft_pair(z.reshape(rows, n, 2, -1), k) if pair else _fft_half(z.reshape(rows, n, -1), k)
        table = analysis((self.bases[i], self.roles[i]), (n, k), z.dtype, z.device)
        return tables.apply(table, z.reshape(rows, table.shape[1], -1))

    def synthesise(
        self,
        z: Tensor,
        n_in: Sequence[int],
        n_out: Sequence[int],
        stored: Sequence[int],
        onto: Tensor | None = None,
    ) -> Tensor:
        """Coefficients (B, parts, *kept, C), some of those stored, of a field on n_in nodes -> (B, *n_out, C), added to
        `onto`."""
        batch, _, *kept, channels = z.shape
        for i, (n, k) in enumerate(zip(n_out, kept, strict=True)):
            last = onto if i == len(kept) - 1 else None
            z = self.synthesise_axis(z, i, batch * prod(n_out[:i]), (n, k, n_in[i], stored[i]), last)
        return z.view(batch, *n_out, channels)

    def synthesise_axis(
        self, z: Tensor, i: int, rows: int, sizes: tuple[int, int, int, int], onto: Tensor | None = None
    ) -> Tensor:
        """Coefficients of axis i, sizes = (n, k, n_in, stored) as in `bases.tables.synthesis`, to values at its nodes,
        the axes before it being values already."""
        n, k, n_in, stored = sizes
        if self._by_fft(i, k, z.dtype) and n == n_in:
            z = z.reshape(rows, 2, k, -1)
            y = _ifft_half(z, n) if self.roles[i] == "half" else _ifft_pair(z, n, alone=stored == k)
            return y if onto is None else y.reshape(onto.shape) + onto
        table = synthesis((self.bases[i], self.roles[i]), sizes, z.dtype, z.device)
        z = z.reshape(rows, table.shape[1], -1)
        return tables.apply(table, z, None if onto is None else onto.reshape(rows, n, -1))

    def interpolate(self, v: Tensor, n_out: Sequence[int]) -> Tensor:
        """(B, *n, C) -> (B, *n_out, C): all of the series that both lattices hold, with cosines in place of sines,
        which have no values at walls."""
        n_in = v.shape[1:-1]
        whole = Transform([basis.interpolating() for basis in self.bases], self.method)
        pairs = zip(whole.bases, n_in, n_out, strict=True)
        kept = [min(basis.resolved(a), basis.resolved(b)) for basis, a, b in pairs]
        return whole.synthesise(whole.analyse(v, kept), n_in, n_out, kept)

    def _by_fft(self, i: int, k: int, dtype: torch.dtype) -> bool:
        if type(self.bases[i]) is not Fourier or self.method == "gemm" or dtype.itemsize < 4:
            return False  # an `Increment` is evaluated anywhere; half precision: not every FFT has it
        if torch.compiler.is_exporting():
            return False  # no complex numbers in ONNX
        return self.method == "fft" or (2 * k if self.roles[i] == "half" else k) > CROSSOVER


class SpectralConv(nn.Module):
    """y = T^-1 (R T v + b) on the kept modes: (B, *n, C_in) -> (B, *n_out, C_out), any n and n_out.

    T is the transform to the axes' `bases` (all Fourier by default) by `method` (`Transform`), R one real or complex
    matrix per mode (`mixing`), b with `bias` a coefficient per mode and channel, the same for every sample, also of
    modes that v's lattice does not hold. limit: coefficients used per axis, at most; all that are stored where it is
    None. Source: Li et al., ICLR 2021, equation 4. Raises InputError on sizes and names out of range.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        modes: Sequence[int],
        *,
        bases: Sequence[Basis] | None = None,
        weights: Weights = "dense",
        rank: float = 0.42,
        method: Method = "auto",
        bias: bool = False,
    ) -> None:
        super().__init__()
        if min(modes) < 1:
            raise InputError(f"modes={tuple(modes)}: wanted at least one mode per axis")
        self.modes, last = tuple(modes), len(modes) - 1
        self.transform = Transform(bases or [Fourier(half=i == last) for i in range(len(modes))], method)
        roles = self.transform.roles
        self.stored = tuple(k // 2 + 1 if role == "half" else k for k, role in zip(modes, roles, strict=True))
        self.weight = mixing(weights, self.stored, in_channels, out_channels, self.transform.parts, rank)
        shape = self.transform.parts, *self.stored, out_channels
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None
        self.limit: tuple[int, ...] | None = None

    def extra_repr(self) -> str:
        return f"modes={self.modes}"

    def forward(self, v: Tensor, n_out: Sequence[int], onto: Tensor | None = None) -> Tensor:
        """onto: (B, *n_out, C_out), a field that the result is added to."""
        z = self.coefficients(v, n_out)
        return self.transform.synthesise(z, v.shape[1:-1], n_out, self.stored, onto)

    def coefficients(self, v: Tensor, n_out: Sequence[int]) -> Tensor:
        """R T v + b, (B, parts, *kept, C_out): those that a lattice of n_out nodes holds."""
        used = self._used(v.shape[1:-1], n_out)
        z = self.weight(self.transform.analyse(v, used), self._first(self.stored, used))
        if self.bias is None:
            return z
        wanted = self._used(n_out)
        around = [
            (first, most - first - k) for first, most, k in zip(self._first(wanted, used), wanted, used, strict=True)
        ]
        b: Tensor = self.bias
        for axis, (first, k) in enumerate(zip(self._first(self.stored, wanted), wanted, strict=True), 1):
            b = b.narrow(axis, first, k)
        return pad(z, [0, 0, *(e for pair in reversed(around) for e in pair)]) + b

    def _used(self, *lattices: Sequence[int]) -> list[int]:
        """How many coefficients per axis are stored, within the limit, and held by all these lattices."""
        axes = zip(self.transform.bases, self.stored, self.limit or self.stored, *lattices, strict=True)
        return [min(have, most, *map(basis.resolved, n)) for basis, have, most, *n in axes]

    def _first(self, among: Sequence[int], kept: Sequence[int]) -> list[int]:
        axes = zip(self.transform.bases, among, kept, strict=True)
        return [basis.first(have, k) for basis, have, k in axes]

    def lifted(self, modes: Sequence[int]) -> SpectralConv:
        """The same function with room for more modes, whose weights and biases are zero.

        Raises InputError on fewer modes, and on weights that are not dense.
        """
        if not isinstance(self.weight, Dense):
            raise InputError("only dense weights have a place of their own for each mode: lift a dense convolution")
        *_, c_in, columns = self.weight.tensor.shape
        c_out, bases = columns // self.transform.parts, self.transform.bases
        method, tensor = self.transform.method, self.weight.tensor
        wide = SpectralConv(c_in, c_out, modes, bases=bases, method=method, bias=self.bias is not None).to(tensor)
        if any(new < old for new, old in zip(wide.stored, self.stored, strict=True)):
            raise InputError(f"lifted to modes={tuple(modes)}, fewer than the {self.modes} there are")
        starts = zip(self._first(wide.stored, self.stored), self.stored, strict=True)
        place = tuple(slice(first, first + k) for first, k in starts)
        pairs = [(wide.weight.get_parameter("tensor"), tensor, place)]
        if wide.bias is not None and self.bias is not None:
            pairs.append((wide.bias, self.bias, (slice(None), *place)))
        with torch.no_grad():
            for new, old, where in pairs:
                new.zero_()[where] = old
        return wide


def _fft_half(x: Tensor, k: int) -> Tensor:
    """Real (rows, n, rest) -> (rows, 2, k, rest), f = 0 .. k - 1; one of the two halves of a Nyquist mode."""
    n = x.shape[1]
    c = torch.fft.rfft(x, dim=1, norm="forward").narrow(1, 0, k)
    if 2 * (k - 1) == n:
        c = torch.cat([c[:, :-1], 0.5 * c[:, -1:]], 1)
    return torch.stack([c.real, c.imag], dim=1)


def _fft_pair(x: Tensor, k: int) -> Tensor:
    """(rows, n, 2, rest), real and imaginary parts -> (rows, 2, k, rest), f = -floor(k/2) .. k - floor(k/2) - 1."""
    n, low = x.shape[1], k // 2
    c = torch.fft.fft(torch.complex(x[:, :, 0], x[:, :, 1]), dim=1, norm="forward")
    c = torch.cat([c[:, n - low :], c[:, : k - low]], 1)
    if 2 * low == n:  # -n/2, and n/2 where it is kept too
        ends = [0.5 * c[:, :1], c[:, 1 : n if k > n else None]] + ([0.5 * c[:, n:]] if k > n else [])
        c = torch.cat(ends, 1)
    return torch.stack([c.real, c.imag], dim=1)


def _ifft_half(z: Tensor, n: int) -> Tensor:
    """(rows, 2, k, rest) -> real (rows, n, rest). The imaginary parts of f = 0 and n/2 do not count, on any device."""
    k = z.shape[2]
    imag = torch.cat([torch.zeros_like(z[:, 1, :1]), z[:, 1, 1:]], 1)
    c = torch.complex(z[:, 0], imag)
    if 2 * (k - 1) == n:
        c = torch.cat([c[:, :-1], 2 * torch.complex(z[:, 0, -1:], torch.zeros_like(z[:, 0, -1:]))], 1)
    return torch.fft.irfft(c, n=n, dim=1, norm="forward")


def _ifft_pair(z: Tensor, n: int, alone: bool) -> Tensor:
    """(rows, 2, k, rest) -> (rows, n, 2, rest). alone: -n/2, if kept without n/2, stands for both."""
    k = z.shape[2]
    low = k // 2
    c = torch.complex(z[:, 0], z[:, 1])
    if k > n:  # both halves of the Nyquist mode fall onto one entry
        c = torch.cat([c[:, :1] + c[:, n:], c[:, 1:n]], 1)
    elif alone and k == n and n % 2 == 0:
        c = torch.cat([2 * c[:, :1], c[:, 1:]], 1)
    gap = c.new_zeros(c.shape[0], n - c.shape[1], *c.shape[2:])
    c = torch.fft.ifft(torch.cat([c[:, low:], gap, c[:, :low]], 1), dim=1, norm="forward")
    return torch.stack([c.real, c.imag], dim=2)
