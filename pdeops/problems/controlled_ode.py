"""A controlled differential equation, an example of continuum attention."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.problems.inputs import Inputs
from pdeops.problems.ode import Driven
from pdeops.problems.processes import RandomSines


@dataclass(kw_only=True, eq=False)
class ControlledOde(Driven):
    """dz = sin(z) du(t), z(0) = 1, on [0, horizon]: z' = sin(z) u'(t); the operator maps the path u to z.

    u' is that of the spline through u, whose integral passes through u's values: so on the nodes the exact solution
    tan(z / 2) = tan(1 / 2) exp(u(t) - u(0)) suffers no error from the spline.
    Source: Calvello, Kovachki, Levine and Stuart, Continuum attention for neural operators, JMLR 26 (2025), with its
    u(t) = sum_{j=1..10} xi_j sin(pi f_j t) / j, at distances of 0.01.
    """

    name = "controlled_ode"
    out_names = ("z",)
    in_names = ("u",)
    derivative = 1

    n: int = 201
    horizon: float = 2.0
    controls: Inputs = field(default_factory=RandomSines)

    def start(self, a: Tensor) -> Tensor:
        return a.new_ones(1, 1, 1)

    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        return torch.sin(s) * a
