"""The functions phi_k of exponential integrators, free of cancellation."""

from __future__ import annotations

from math import factorial

import torch
from torch import Tensor

_TERMS = 18  # of the series, for |z| < 1: 1 / 18! is below the round-off of double precision


def phi(k: int, z: Tensor) -> Tensor:
    """phi_0 = exp(z), phi_{k+1}(z) = (phi_k(z) - 1 / k!) / z, elementwise for real or complex z; phi_k(0) = 1 / k!.

    By the recurrence where |z| >= 1 and by the series sum_j z^j / (j + k)! where |z| < 1, in which the recurrence
    would cancel. Source: Hochbruck and Ostermann, Exponential integrators, Acta Numerica 19 (2010), section 2.1.
    """
    if k == 0:
        return z.exp()
    series = torch.zeros_like(z)
    for j in reversed(range(_TERMS)):
        series = series * z + 1 / factorial(j + k)
    small = z.abs() < 1
    divisor = torch.where(small, torch.ones_like(z), z)
    value = divisor.exp()
    for j in range(k):
        value = (value - 1 / factorial(j)) / divisor
    return torch.where(small, series, value)
