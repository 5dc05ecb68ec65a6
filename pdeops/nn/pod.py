"""Proper orthogonal decomposition of fields: the functions that hold most of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid


class POD(NamedTuple):
    """mean (C, *n), and functions (C, *n, k), the k-th being sigma_k phi_k: phi_k orthonormal in
    <u, v> = sum_c int u_c v_c dx, sigma_k^2 the fields' variance along it, in descending order. float64."""

    mean: Tensor
    functions: Tensor


def pod(fields: Tensor, grid: Grid, k: int) -> POD:
    """Of fields (N, C, *grid), by the singular values of sqrt(w) (u_i - mean) / sqrt(N), w the quadrature weights.

    A field is mean + sum_k c_k sigma_k phi_k, and over the N fields the c_k have mean zero, variance one, and are
    uncorrelated. Source: Sirovich, Quarterly of Applied Mathematics 45 (1987), part I.
    Raises InputError on fields of another grid, and on more functions than N fields or their values can tell.
    """
    if tuple(fields.shape[2:]) != grid.shape:
        raise InputError(f"fields of shape {tuple(fields.shape)}; wanted (samples, channels, *{grid.shape}) on {grid}")
    count, channels = fields.shape[:2]
    most = min(count - 1, channels * fields[0, 0].numel())
    if k > most:
        raise InputError(
            f"model.features={k}: {count} training outputs, whose mean is taken away, have at most {most} functions: "
            + ("lower it, or take more samples" if most else "take more samples")
        )
    u = fields.double()
    mean = u.mean(0)
    roots = grid.weights().to(u.device).sqrt()
    _, sigma, phi = torch.linalg.svd(((u - mean) * roots).flatten(1) / count**0.5, full_matrices=False)
    functions = (sigma[:k, None] * phi[:k]).unflatten(1, (channels, *grid.shape)) / roots
    return POD(mean, functions.movedim(0, -1))
