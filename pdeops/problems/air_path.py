"""The air path of a turbocharged engine: a driven system of several time scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.problems.inputs import Inputs
from pdeops.problems.ode import Driven
from pdeops.problems.processes import Commands, GaussianProcess

MU = 0.286  # of adiabatic compression of air, (gamma - 1) / gamma
SMOOTH = 0.2  # the pressure over which flows turn around


@dataclass(kw_only=True, eq=False)
class AirPath(Driven):
    """Pressures p and q of the manifolds before and behind the cylinders, in units of the surroundings', the power w of
    the compressor and the opening v of a valve between both, under commands in [0, 1]: fuel f, valve c, vanes d.

    intake p' = C + E - p, exhaust q' = (1 + heat f) p - E - T, shaft w' = efficiency (1 - q^-mu) T - w,
    valve v' = c - v, the left sides times their constants of time; mu = 0.286. Flows: of the compressor
    C = w / (0.1 + (p^mu - 1)+) + r((1 - p)+), driven and drawn in, of the valve E = r(q - p) v / 2, of the turbine
    T = (1 + 3 d / 2) (q - 1), where r(x) = x / (x^2 + 0.2^2)^(1/4) is a root that turns around smoothly and
    x+ = (x + sqrt(x^2 + 0.2^2)) / 2.
    From p = q = 1, w = 0, v = c at t = 0. The right-hand side does not depend on t, so it can be cut into segments
    (`data.window.segment`).
    The structure is that of mean-value models, as Jankovic, Jankovic and Kolmanovsky, Constructive Lyapunov control
    design for turbocharged diesel engines, IEEE Trans. Control Syst. Technol. 8 (2000), with a lag of the valve; the
    constants are of order one, and no engine's.
    """

    name = "air_path"
    out_names = ("p", "q", "w", "v")
    in_names = ("f", "c", "d")
    coefficients = ("intake", "exhaust", "shaft", "valve", "heat", "efficiency")

    n: int = 401
    horizon: float = 20.0
    intake: float = 0.4
    exhaust: float = 0.2
    shaft: float = 2.0
    valve: float = 0.15
    heat: float = 1.2
    efficiency: float = 0.6
    controls: Inputs = field(default_factory=lambda: Commands(channels=3, of=GaussianProcess(amplitude=1.5, width=1.0)))

    def start(self, a: Tensor) -> Tensor:
        at_rest = a.new_tensor([1.0, 1.0, 0.0]).view(1, 3, 1).expand(len(a), -1, -1)
        return torch.cat([at_rest, a[:, 1:2, :1]], dim=1)

    def linear(self) -> Sequence[float]:
        return -1 / self.intake, 0.0, -1 / self.shaft, -1 / self.valve

    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        p, q, w, v = s.split(1, dim=1)
        fuel, command, vanes = a.split(1, dim=1)
        compressor = w / (0.1 + _positive(p**MU - 1)) + _root(_positive(1 - p))
        back = _root(q - p) * v / 2
        turbine = (q - 1) * (1 + 1.5 * vanes)
        return torch.cat(
            [
                (compressor + back) / self.intake,
                ((1 + self.heat * fuel) * p - back - turbine) / self.exhaust,
                self.efficiency * (1 - q**-MU) * turbine / self.shaft,
                command / self.valve,
            ],
            dim=1,
        )


def _root(x: Tensor) -> Tensor:
    return x / (x.square() + SMOOTH**2) ** 0.25


def _positive(x: Tensor) -> Tensor:
    return (x + (x.square() + SMOOTH**2).sqrt()) / 2
