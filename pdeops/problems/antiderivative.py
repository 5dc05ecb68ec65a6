"""The antiderivative operator, DeepONet's first example."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from pdeops.problems.inputs import Inputs
from pdeops.problems.ode import Driven
from pdeops.problems.processes import GaussianProcess


@dataclass(kw_only=True, eq=False)
class Antiderivative(Driven):
    """s' = u(t), s(0) = 0 on [0, horizon], u a Gaussian process; the operator maps u to s.

    Source: Lu et al., Learning nonlinear operators via DeepONet, Nature Machine Intelligence 3 (2021), with its 100
    sensors on [0, 1] and correlation length 0.2.
    """

    name = "antiderivative"
    out_names = ("s",)
    in_names = ("u",)

    controls: Inputs = field(default_factory=GaussianProcess)

    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        return a
