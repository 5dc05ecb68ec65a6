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
    """Zero-mean samples (n, 1, *grid) of N(0, C), C = variance (-Laplacian + tau^2)^-alpha, float64, in one or
    two dimensions.

    By Karhunen-Loeve: u = sum_k sqrt(lambda_k) xi_k e_k over the L2-orthonormal sines and cosines with
    |k_i| < n_i / 2, k != 0, lambda_k = variance (|kappa_k|^2 + tau^2)^-alpha.

    Sample i depends on (seed, i) alone, and modes are drawn from the lowest up, so that the same (seed, i)
    is the same function on every line and every square lattice, up to the modes that the lattice lacks.
    """
    modes = _modes(max(grid.shape), grid.ndim)
    kappa2 = sum((2 * pi / axis.length * k) ** 2 for axis, k in zip(grid, modes, strict=True))
    # c_k multiplies exp(i kappa x), c_-k its conjugate: E|c_k|^2 = lambda_k / V
    deviation = np.sqrt(variance * (kappa2 + tau**2) ** -alpha / (2 * grid.volume))
    held = np.all([2 * np.abs(k) < axis.n for axis, k in zip(grid, modes, strict=True)], axis=0)
    place = tuple(k[held] for k in modes)
    shape = (*grid.shape[:-1], grid.shape[-1] // 2 + 1)
    fields = []
    for i in indices:
        xi = np.random.default_rng([seed, i]).standard_normal((len(held), 2))
        c = np.zeros(shape, dtype=np.complex128)
        c[place] = (deviation * (xi[:, 0] + 1j * xi[:, 1]))[held]
        if grid.ndim == 2:  # the row k_y = 0 holds both k and -k
            row = place[0][place[1] == 0]
            c[-row, 0] = c[row, 0].conj()
        # one transform per sample: a batch's size would change the last digits
        fields.append(torch.fft.irfftn(torch.from_numpy(c), s=grid.shape, norm="forward"))
    return torch.stack(fields).unsqueeze(1)


@lru_cache(maxsize=8)
def _modes(n: int, d: int) -> tuple[np.ndarray, ...]:
    """Half of the modes |k_i| < n / 2, k != 0, one of each pair k and -k, ordered by max |k_i|."""
    top = (n - 1) // 2
    if d == 1:
        return (np.arange(1, top + 1),)
    kx, ky = (k.ravel() for k in np.meshgrid(np.arange(-top, top + 1), np.arange(top + 1), indexing="ij"))
    half = (ky > 0) | ((ky == 0) & (kx > 0))
    kx, ky = kx[half], ky[half]
    order = np.lexsort((ky, kx, np.maximum(np.abs(kx), ky)))
    return kx[order], ky[order]
