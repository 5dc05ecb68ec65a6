"""Series of cosines and of sines between walls by the FFT of the field continued beyond them, even or odd.

ends: nodes at theta = pi j / (n - 1), both walls among them; else at cell centres theta = pi (j + 1/2) / n. The same
coefficients as by `tables.Trigonometric`; differentiable.
"""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor
from torch.nn.functional import pad


def analysis(u: Tensor, sine: bool, ends: bool) -> Tensor:
    """Values (..., n) -> coefficients of all the cosines (..., n), or sines (..., n - 2 with ends, else n)."""
    n = u.shape[-1]
    if sine and ends:
        u = pad(u[..., 1:-1], [1, 1])  # values on the walls do not count
    mirrored = u.flip(-1)[..., 1:-1] if ends else u.flip(-1)
    c = torch.fft.rfft(torch.cat([u, -mirrored if sine else mirrored], -1), norm="forward")
    if not ends:
        c = c * _half_cell(c)
    c = (-2 * c.imag if sine else 2 * c.real) * _alone(c.shape[-1], c.device).to(c.real.dtype)
    if sine:
        return c[..., 1:-1] if ends else c[..., 1:]
    return c[..., :n]


def synthesis(c: Tensor, n: int, sine: bool, ends: bool) -> Tensor:
    """Coefficients of the first cosines (at most n), or sines (at most n - 2 or n) -> values (..., n)."""
    modes = n if ends else n + 1  # of the continued field, its Nyquist mode included
    c = pad(c, [1, 0]) if sine else c
    c = pad(c, [0, modes - c.shape[-1]])
    c = c / (2 * _alone(modes, c.device).to(c.dtype))
    z = torch.complex(torch.zeros_like(c), -c) if sine else torch.complex(c, torch.zeros_like(c))
    if not ends:
        z = z * _half_cell(z).conj()
    return torch.fft.irfft(z, n=2 * (modes - 1), norm="forward")[..., :n]


def _alone(modes: int, device: torch.device) -> Tensor:
    """1/2 for the mean and the Nyquist mode, which have no conjugates beside them; else 1."""
    scale = torch.ones(modes, device=device)
    scale[0] = scale[-1] = 0.5
    return scale


def _half_cell(c: Tensor) -> Tensor:
    """exp(-i pi k / (2 n)): the first node lies half a cell from the wall."""
    angle = -pi / (2 * (c.shape[-1] - 1)) * torch.arange(c.shape[-1], dtype=torch.float64, device=c.device)
    return torch.polar(torch.ones_like(angle), angle).to(c.dtype)
