"""The driven pendulum, a DeepONet example."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.problems.inputs import Inputs
from pdeops.problems.ode import Driven
from pdeops.problems.processes import GaussianProcess


@dataclass(kw_only=True, eq=False)
class Pendulum(Driven):
    """s1' = s2, s2' = -k sin(s1) + u(t), s(0) = 0 on [0, horizon], u a Gaussian process; the operator maps the torque
    u to the angle s1 and the velocity s2.

    Source: Lu et al., Learning nonlinear operators via DeepONet, Nature Machine Intelligence 3 (2021), with k = 1,
    where the angle alone is learnt; here the velocity is an output too, so that the residual is of first order.
    """

    name = "pendulum"
    out_names = ("s1", "s2")
    in_names = ("u",)
    coefficients = ("k",)

    k: float = 1.0
    controls: Inputs = field(default_factory=GaussianProcess)

    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        angle, velocity = s.split(1, dim=1)
        return torch.cat([velocity, a - self.k * torch.sin(angle)], dim=1)
