"""Gaussian random fields on the torus."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import pi

import numpy as np
import torch
from torch import Tensor

from pdeops.grid import Grid


def gaussian_field(
    grid: Grid, indices: Sequence[int], seed: int, *, variance: float, tau: float, alpha: float
) -> Tensor:
    """Zero-mean samples (n, 1, *grid) of N(0, C), C = variance (-Laplacian + tau^2)^-alpha, float64.

    By Karhunen-Loeve: u = sum_k sqrt(lambda_k) xi_k e_k over the L2-orthonormal sines and cosines with
    |k_i| < n_i / 2, k != 0, lambda_k = variance (|kappa_k|^2 + tau^2)^-alpha.

    Sample i depends on (seed, i) alone, and modes are drawn from the lowest up, so that the same (seed, i)
    is the same function on every square lattice, up to the modes that the lattice does not hold.
    """
    if grid.ndim != 2:
        raise NotImplementedError("gaussian_field draws on 2-D grids")
    kx, ky = _modes(max(grid.shape))
    (nx, ny), (lx, ly) = grid.shape, (axis.length for axis in grid)
    kappa2 = (2 * pi * kx / lx) ** 2 + (2 * pi * ky / ly) ** 2
    # c_k multiplies exp(i kappa x), c_-k its conjugate: E|c_k|^2 = lambda_k / V
    deviation = np.sqrt(variance * (kappa2 + tau**2) ** -alpha / (2 * grid.volume))
    held = (2 * np.abs(kx) < nx) & (2 * np.abs(ky) < ny)
    axis_row = kx[held & (ky == 0)]
    fields = []
    for i in indices:
        xi = np.random.default_rng([seed, i]).standard_normal((len(kx), 2))
        c = np.zeros((nx, ny // 2 + 1), dtype=np.complex128)
        c[kx[held], ky[held]] = (deviation * (xi[:, 0] + 1j * xi[:, 1]))[held]
        c[-axis_row, 0] = c[axis_row, 0].conj()  # the row k_y = 0 holds both k and -k
        # one transform per sample: a batch's size would change the last digits
        fields.append(torch.fft.irfft2(torch.from_numpy(c), s=grid.shape, norm="forward"))
    return torch.stack(fields).unsqueeze(1)


@lru_cache(maxsize=4)
def _modes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The half plane k_y > 0, or k_y = 0 and k_x > 0, with |k| < n / 2, ordered by max(|k_x|, |k_y|)."""
    top = (n - 1) // 2
    kx, ky = (k.ravel() for k in np.meshgrid(np.arange(-top, top + 1), np.arange(top + 1), indexing="ij"))
    half = (ky > 0) | (kx > 0)
    kx, ky = kx[half], ky[half]
    order = np.lexsort((ky, kx, np.maximum(np.abs(kx), ky)))
    return kx[order], ky[order]
