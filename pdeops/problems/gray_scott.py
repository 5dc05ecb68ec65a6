"""The Gray-Scott model on a torus: two species that form patterns."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs, Spots


@dataclass(kw_only=True, eq=False)
class GrayScott(Evolution):
    """u_t = diffusivity_u Laplace u - u v^2 + feed (1 - u), v_t = diffusivity_v Laplace v + u v^2 - (feed + kill) v
    on [0, length]^2, periodic.

    Source: Pearson, Complex patterns in a simple system, Science 261 (1993), on half the side of its square.
    """

    name = "gray_scott"
    dimensions = 2
    degree = 3
    out_names = ("u", "v")
    coefficients = ("diffusivity_u", "diffusivity_v", "feed", "kill")
    nonnegative = coefficients

    n: int = 64
    length: float = 1.25
    horizon: float = 1000.0
    frames: int = 50
    diffusivity_u: Coefficient = 2e-5
    diffusivity_v: Coefficient = 1e-5
    feed: Coefficient = 0.04
    kill: Coefficient = 0.06
    initial: Inputs = field(default_factory=Spots)

    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        feed, kill = self.coefficient("feed", a), self.coefficient("kill", a)
        u = -self.coefficient("diffusivity_u", a) * basis.k2 - feed
        v = -self.coefficient("diffusivity_v", a) * basis.k2 - feed - kill
        return torch.cat(torch.broadcast_tensors(*(x if x.ndim > 2 else x.unsqueeze(0) for x in (u, v))), dim=-3)

    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        supply = self.coefficient("feed", a) * (basis.k2 == 0).to(basis.k2)

        def tendency(c: Tensor) -> Tensor:
            u, v = basis.to_fine(c).split(1, dim=-3)
            reaction = basis.to_modes(u * v * v)
            return torch.cat([supply - reaction, reaction], dim=-3)

        return tendency
