"""Energy by bands of physical wavenumber: of errors in a few bands, of fields shell by shell."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, pi, sqrt

import torch
from torch import Tensor

from pdeops.bases.fourier import wavenumbers
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.norms import check_shape


def band_energy(e: Tensor, grid: Grid, edges: Sequence[float]) -> Tensor:
    """Mean square of e (..., *grid) per band of |kappa|, (..., len(edges) + 1); the bands sum to the mean square.

    Periodic axes are expanded in exp(i kappa x), kappa = 2 pi k / length, the others in the cosines of the
    DCT-II, kappa = pi k / length, which has no jump at the ends. Band b holds edges[b-1] <= |kappa| < edges[b],
    in radians per unit length, so that a band is the same set of waves at every resolution.
    """
    check_shape(e, grid)
    d = grid.ndim
    kappa2 = torch.zeros((), dtype=torch.float64)
    c = e
    for i, axis in enumerate(grid):
        if axis.periodic:
            c = torch.fft.fft(c, dim=i - d, norm="forward")
            kappa = wavenumbers(axis)
        else:
            c = torch.movedim(torch.movedim(c, i - d, -1) @ _cosines(axis.n).to(c), -1, i - d)
            kappa = pi / axis.length * torch.arange(axis.n, dtype=torch.float64)
        kappa2 = kappa2.unsqueeze(-1) + kappa.square()
    band = torch.bucketize(kappa2.sqrt().flatten(), torch.tensor(edges, dtype=torch.float64), right=True).to(e.device)
    energy = c.abs().square().flatten(-d)
    return energy.new_zeros(*energy.shape[:-1], len(edges) + 1).index_add(-1, band, energy)


def default_edges(grid: Grid) -> tuple[float, float]:
    """The 4th and the 12th harmonic of the longest axis: low, middle and high wavenumbers."""
    base = 2 * pi / max(axis.length for axis in grid)
    return 4 * base, 12 * base


def shell_spectrum(u: Tensor, grid: Grid) -> Tensor:
    """E_k = 1/2 sum |c|^2 over the Fourier modes of u (..., *grid) with k - 1/2 <= |kappa| L / (2 pi) < k + 1/2, L the
    longest side: (..., n_shells), k = 0, 1, ...; the shells sum to the energy 1/2 mean(u^2).

    Shells above `nyquist(grid)` hold only the corners of the lattice's box of modes.
    Raises InputError on an axis that is not periodic.
    """
    for axis in grid:
        if not axis.periodic:
            raise InputError(f"axis {axis.name!r} has {axis.nodes} nodes; a Fourier spectrum needs periodic axes")
    return band_energy(u, grid, shell_edges(grid)) / 2


def shell_edges(grid: Grid) -> list[float]:
    """Between the shells k = 0, 1, ...: (k + 1/2) 2 pi / L, L the longest side, to the corner of the grid's modes."""
    longest = max(axis.length for axis in grid)
    corner = sqrt(sum((axis.n // 2 * longest / axis.length) ** 2 for axis in grid))
    return [2 * pi / longest * (k + 0.5) for k in range(floor(corner + 0.5))]


def nyquist(grid: Grid) -> float:
    """The least Nyquist frequency among the axes, as a shell of `shell_spectrum`."""
    return min(axis.n / 2 / axis.length for axis in grid) * max(axis.length for axis in grid)


def _cosines(n: int) -> Tensor:
    """(n, n): column k holds the k-th DCT-II vector scaled so that squares sum to the mean square."""
    j = torch.arange(n, dtype=torch.float64)
    c = torch.cos(pi / n * torch.outer(j + 0.5, j)) * sqrt(2) / n
    c[:, 0] /= sqrt(2)
    return c
