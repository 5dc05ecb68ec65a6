"""A learned change of coordinates."""

from __future__ import annotations

from itertools import pairwise
from math import pi
from typing import Any

import torch
from torch import Tensor, nn

OCTAVES = 8


class Deformation(nn.Module):
    """xi = x + x * phi(x, sin(2^j pi x), cos(2^j pi x), code), j < 8, phi a perceptron with three hidden layers and
    tanh: (B, N, d) -> (B, N, d), in the precision of x, whatever phi's. code: so many numbers of each sample. At first
    xi is nearly x.

    Source: Li et al., Geo-FNO, JMLR 2023, section 4.2, without the angle about a point, which jumps.
    """

    def __init__(self, ndim: int, code: int = 0, width: int = 128) -> None:
        super().__init__()
        sizes = [ndim * (1 + 2 * OCTAVES) + code, width, width, width]
        hidden = [part for a, b in pairwise(sizes) for part in (nn.Linear(a, b), nn.Tanh())]
        self.phi = nn.Sequential(*hidden, nn.Linear(width, ndim))
        with torch.no_grad():
            for p in self.phi[-1].parameters():
                p.mul_(0.01)

    def forward(self, x: Tensor, code: Tensor | None = None) -> Tensor:
        waves = (2.0 ** torch.arange(OCTAVES).to(x) * pi * x.unsqueeze(-1)).flatten(-2)
        features = [x, waves.sin(), waves.cos()]
        if code is not None:
            features = [part.expand(len(code), -1, -1) for part in features]
            features.append(code.unsqueeze(1).expand(-1, x.shape[1], -1))
        last: Any = self.phi[-1]
        return x + x * self.phi(torch.cat(features, -1).to(last.weight)).to(x)
