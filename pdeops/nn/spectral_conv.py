"""The spectral convolution of Fourier neural operators, as real matrix products.

With few modes kept, a discrete Fourier transform is a small matrix: analysis and synthesis are real GEMMs
with tables built in float64, and the mixing of channels is one batched GEMM over the modes. Fields are
channels-last here, (B, *n, C), which makes every product's columns contiguous.

Conventions: `modes` counts kept frequencies per axis, both signs together; an axis keeps
-floor(k/2) .. k - floor(k/2) - 1, the last axis its half 0 .. floor(k/2). Coefficients are those of the
function ("forward" norm), so the operator does not depend on the resolution; a Nyquist mode counts as two
halves at +-n/2. On a grid too coarse for the stored modes, those it resolves are used, each with the weight
of its own frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import pi, prod
from typing import Any

import torch
from torch import Tensor, nn

from pdeops.errors import InputError


class SpectralConv(nn.Module):
    """y = F^-1 (R F v) on the kept modes: (B, *n, C_in) -> (B, *n_out, C_out), any n and n_out.

    R is stored real, (*modes, C_in, 2 C_out) with columns [Re | Im]; initially Re and Im have deviation
    (C_in + C_out)^(-1/2), neuraloperator's. Source: Li et al., ICLR 2021, equation 4.
    """

    def __init__(self, in_channels: int, out_channels: int, modes: Sequence[int]) -> None:
        super().__init__()
        if min(modes) < 1:
            raise InputError(f"modes={tuple(modes)}: wanted at least one mode per axis")
        self.modes = tuple(modes)
        self.stored = (*self.modes[:-1], self.modes[-1] // 2 + 1)
        deviation = (in_channels + out_channels) ** -0.5
        self.weight = nn.Parameter(deviation * torch.randn(*self.stored, in_channels, 2 * out_channels))

    def extra_repr(self) -> str:
        return f"{self.weight.shape[-2]} -> {self.weight.shape[-1] // 2}, modes={self.modes}"

    def forward(self, v: Tensor, n_out: Sequence[int], onto: Tensor | None = None) -> Tensor:
        """onto: (B, *n_out, C_out), a field that the result is added to."""
        n_in = v.shape[1:-1]
        kept = tuple(self._kept(i, min(a, b)) for i, (a, b) in enumerate(zip(n_in, n_out, strict=True)))
        z = _analyse(v, kept)
        weight: Tensor = self.weight
        for i, (have, keep) in enumerate(zip(self.stored, kept, strict=True)):
            if keep < have:
                first = 0 if i == len(kept) - 1 else have // 2 - keep // 2
                weight = weight.narrow(i, first, keep)
        return _synthesise(_mix(z, weight), n_in, n_out, onto)

    def _kept(self, i: int, n: int) -> int:
        """How many stored modes an axis of n nodes resolves, |f| <= n / 2."""
        resolved = n // 2 + 1 if i == len(self.stored) - 1 else 2 * (n // 2) + 1
        return min(self.stored[i], resolved)


def _analyse(v: Tensor, kept: tuple[int, ...]) -> Tensor:
    """(B, *n, C) -> coefficients (B, 2, *kept, C), real and imaginary parts on the second axis."""
    batch, *n, channels = v.shape
    table = half_analysis(n[-1], kept[-1], v.dtype, v.device)
    z = _apply(table, v.reshape(-1, n[-1], channels))
    for i in range(len(n) - 2, -1, -1):
        table = full_analysis(n[i], kept[i], v.dtype, v.device)
        z = _apply(table, z.reshape(batch * prod(n[:i]), 2 * n[i], -1))
    return z.view(batch, 2, *kept, channels)


def _mix(z: Tensor, weight: Tensor) -> Tensor:
    """y(k) = R(k) z(k) as one batched GEMM over the modes."""
    batch, _, *kept, c_in = z.shape
    rows = z.reshape(2 * batch, -1, c_in).transpose(0, 1)
    product = torch.bmm(rows, weight.reshape(rows.shape[0], c_in, -1))
    re_im = product.view(rows.shape[0], batch, 2, 2, -1)  # (mode, batch, part of z, part of R, channel)
    real = re_im[:, :, 0, 0] - re_im[:, :, 1, 1]
    imag = re_im[:, :, 0, 1] + re_im[:, :, 1, 0]
    return torch.stack([real, imag], dim=1).permute(2, 1, 0, 3).reshape(batch, 2, *kept, -1)


def _synthesise(z: Tensor, n_in: Sequence[int], n_out: Sequence[int], onto: Tensor | None) -> Tensor:
    """Coefficients (B, 2, *kept, C) of a field on n_in nodes -> (B, *n_out, C), added to `onto`."""
    batch, _, *kept, channels = z.shape
    for i, (n, k) in enumerate(zip(n_out[:-1], kept[:-1], strict=True)):
        alone = k == n == n_in[i] and n % 2 == 0
        table = full_synthesis(n, k, alone, z.dtype, z.device)
        z = _apply(table, z.reshape(batch * prod(n_out[:i]), 2 * k, -1))
    table = half_synthesis(n_out[-1], kept[-1], z.dtype, z.device)
    z = z.reshape(-1, 2 * kept[-1], channels)
    if onto is None:
        y = _apply(table, z)
    else:
        rows = onto.reshape(-1, n_out[-1], channels)
        y = torch.baddbmm(rows, table.expand(z.shape[0], -1, -1), z)
    return y.view(batch, *n_out, channels)


def _apply(table: Tensor, x: Tensor) -> Tensor:
    return torch.bmm(table.expand(x.shape[0], -1, -1), x)


def _angles(frequencies: Tensor, n: int) -> Tensor:
    """2 pi f j / n for (f, j), the integer product reduced first."""
    return 2 * pi / n * torch.remainder(torch.outer(frequencies, torch.arange(n)), n).double()


def _frequencies(k: int) -> Tensor:
    return torch.arange(-(k // 2), k - k // 2)


Table = Callable[..., Tensor]


def _kept_table(build: Table) -> Table:
    """Build a table once per size, precision and device, as an ordinary constant.

    Not while exporting, when it must become part of the graph; and never as an inference tensor, which
    could not serve a later training step.
    """
    kept = lru_cache(maxsize=256)(build)

    def table(*arguments: Any) -> Tensor:
        if torch.compiler.is_exporting():
            return build(*arguments)
        with torch.inference_mode(False):
            return kept(*arguments)

    return table


def _scaled(table: Tensor, rows: Tensor, factor: float) -> Tensor:
    return torch.where(rows.view(-1, *(1,) * (table.ndim - 1)), factor * table, table)


@_kept_table
def half_analysis(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2m, n), rows (part, f), f = 0 .. m - 1; one of the two halves of a Nyquist mode."""
    f = torch.arange(m)
    angle = _angles(f, n)
    table = torch.cat([angle.cos(), -angle.sin()]) / n
    return _scaled(table, (2 * f == n).repeat(2), 0.5).to(device, dtype)


@_kept_table
def full_analysis(n: int, k: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2k, 2n), rows (part, f), columns (j, part); one of the two halves of a Nyquist mode."""
    f = _frequencies(k)
    cos, sin = _angles(f, n).cos() / n, _angles(f, n).sin() / n
    table = torch.cat([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)])  # (2k, n, part)
    return _scaled(table, (2 * f.abs() == n).repeat(2), 0.5).flatten(1).to(device, dtype)


@_kept_table
def full_synthesis(n: int, k: int, alone: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2n, 2k), rows (j, part), columns (part, f). alone: -n/2 was analysed on the same lattice and is kept
    without n/2: it stands for both halves of the Nyquist mode."""
    f = _frequencies(k)
    cos, sin = _angles(f, n).cos(), _angles(f, n).sin()
    columns = torch.cat([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)])  # (2k, n, part)
    if alone:
        columns = _scaled(columns, (2 * f == -n).repeat(2), 2.0)
    return columns.flatten(1).T.contiguous().to(device, dtype)


@_kept_table
def half_synthesis(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """(n, 2m), columns (part, f): each f > 0 together with its conjugate."""
    f = torch.arange(m)
    angle = _angles(f, n).T
    weight = torch.where(f == 0, 1.0, 2.0).double()
    return torch.cat([weight * angle.cos(), -weight * angle.sin()], dim=1).to(device, dtype)
