"""A field as a few moments in each of some windows that overlap, and back: channels-last, (B, *n, C) or (B, N, C)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from pdeops.constants import Build, constant
from pdeops.grid import Axis, Grid
from pdeops.nn import tables


@dataclass(frozen=True)
class Windows:
    """p windows along each axis, scaled to [0, 1], chi_i(x) = cos(pi xi_i / 2)^2 on |xi_i| < 1, xi_i = p x - i - 1/2;
    they sum to one. On axes that are not periodic the outermost are one from their centre to the wall. Those of several
    axes are multiplied. With P_k the Legendre polynomials of norm one, k < moments along each axis,

        analysis    z_ik = int chi_i P_k(xi_i) v / int chi_i    (integrals by quadrature),
        synthesis   v = sum_i chi_i sum_k z_ik P_k(xi_i).

    Both converge as samples become more, and sums hold every polynomial of degree < moments (where no axis wraps).
    Source: Babuska and Melenk, The partition of unity method, 1997.

    patches: p of each axis; periodic: for each axis, whether it wraps, which takes p > 1.
    """

    patches: tuple[int, ...]
    periodic: tuple[bool, ...]
    moments: int

    def analyse(self, v: Tensor, grid: Grid) -> Tensor:
        """(B, *grid.shape, C) -> (B, windows, moments^d C)."""
        return self._cut(self._along(_analysis, v, grid))

    def synthesise(self, z: Tensor, grid: Grid) -> Tensor:
        """(B, windows, moments^d C) -> (B, *grid.shape, C)."""
        return self._along(_synthesis, self._joined(z), grid)

    def analyse_at(self, v: Tensor, x: Tensor, measure: Tensor) -> Tensor:
        """Of values (B, N, C) at places x (B or 1, N, d) of [0, 1]^d, each with its share of the domain, (N) or (B, N):
        (B, windows, moments^d C). A window without a sample has moments 0."""
        shares = measure.to(x).view(-1, x.shape[1], 1)
        rows, mass = shares * v.to(x), shares
        for i in reversed(range(len(self.patches))):
            chi, waves = self._values(i, x[..., i])
            mass = (chi.unsqueeze(-1) * mass.unsqueeze(-2)).flatten(2)
            if i > 0:
                rows = (waves.unsqueeze(-1) * rows.unsqueeze(-2)).flatten(2)
        z = waves.mT.expand(v.shape[0], -1, -1) @ rows
        sums = self._cut(z.view(v.shape[0], *(p * self.moments for p in self.patches), v.shape[-1]))
        total = mass.sum(1).unsqueeze(-1)
        return (sums / total.where(total > 0, 1.0)).to(v.dtype)

    def synthesise_at(self, z: Tensor, x: Tensor) -> Tensor:
        """(B, windows, moments^d C) -> values (B, N, C) at places x (B or 1, N, d) of [0, 1]^d."""
        rows = self._joined(z).to(x).flatten(2)
        for i in range(len(self.patches)):
            waves = self._values(i, x[..., i])[1]
            if i == 0:
                rows = waves.expand(z.shape[0], -1, -1) @ rows
            else:
                rows = (waves.unsqueeze(-2) @ rows.unflatten(2, (waves.shape[-1], -1))).squeeze(-2)
        return rows.to(z.dtype)

    def _along(self, table: Build, v: Tensor, grid: Grid) -> Tensor:
        for i, axis in enumerate(grid, 1):
            what = axis.resized(2), self.patches[i - 1], self.moments
            v = tables.along(table(what, (axis.n,), v.dtype, v.device), v, i)
        return v

    def _values(self, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        chi, waves = windows(x, self.patches[i], self.moments, self.periodic[i])
        return chi, waves.flatten(-2)

    def _cut(self, z: Tensor) -> Tensor:
        """(B, p1 m, p2 m, ..., C) -> (B, p1 p2 ..., m m ... C)."""
        d = len(self.patches)
        split = z.view(z.shape[0], *(e for p in self.patches for e in (p, self.moments)), z.shape[-1])
        order = 0, *range(1, 2 * d, 2), *range(2, 2 * d + 1, 2), 2 * d + 1
        return split.permute(order).reshape(z.shape[0], prod(self.patches), -1)

    def _joined(self, z: Tensor) -> Tensor:
        """What `_cut` cut."""
        d, m = len(self.patches), self.moments
        split = z.view(z.shape[0], *self.patches, *(m,) * d, -1)
        order = 0, *(e for i in range(1, d + 1) for e in (i, d + i)), 2 * d + 1
        return split.permute(order).reshape(z.shape[0], *(p * m for p in self.patches), -1)


def windows(x: Tensor, patches: int, moments: int, periodic: bool) -> tuple[Tensor, Tensor]:
    """chi_i(x) (..., p), and chi_i(x) P_k(xi_i(x)) (..., p, moments), x (...) of [0, 1]."""
    i = torch.arange(patches, device=x.device, dtype=x.dtype)
    xi = patches * x.unsqueeze(-1) - i - 0.5
    if periodic:
        xi = torch.remainder(xi + patches / 2, patches) - patches / 2
    inside = xi.clamp(-1, 1)
    chi = (torch.pi / 2 * inside).cos().square().masked_fill(xi.abs() >= 1, 0.0)  # round-off is none
    if not periodic:
        beyond = torch.where(i == 0, xi < 0, False) | torch.where(i == patches - 1, xi > 0, False)
        chi = chi.masked_fill(beyond, 1.0)
    waves = [torch.ones_like(inside), inside]
    for k in range(1, moments - 1):
        waves.append(((2 * k + 1) * inside * waves[-1] - k * waves[-2]) / (k + 1))
    norms = (2 * torch.arange(moments, device=x.device, dtype=x.dtype) + 1).sqrt()
    return chi, chi.unsqueeze(-1) * norms * torch.stack(waves[:moments], -1)


@constant
def _synthesis(what: tuple[Axis, int, int], sizes: tuple[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(n, p moments)."""
    return _on(what, sizes)[1].flatten(1).to(device, dtype)


@constant
def _analysis(what: tuple[Axis, int, int], sizes: tuple[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(p moments, n)."""
    weights = what[0].resized(sizes[0]).weights().unsqueeze(-1)
    chi, waves = _on(what, sizes)
    mass = (weights * chi).sum(0)
    table = weights.unsqueeze(-1) * waves / mass.where(mass > 0, 1.0).unsqueeze(-1)
    return table.flatten(1).t().contiguous().to(device, dtype)


def _on(what: tuple[Axis, int, int], sizes: tuple[int]) -> tuple[Tensor, Tensor]:
    axis, patches, moments = what
    axis = axis.resized(sizes[0])
    return windows((axis.points() - axis.start) / axis.length, patches, moments, axis.periodic)
