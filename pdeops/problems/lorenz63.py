"""The Lorenz system, one component observed: an example of continuum attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from pdeops.problems.ode import Ode


@dataclass(kw_only=True, eq=False)
class Lorenz63(Ode):
    """x' = sigma (y - x), y' = x (rho - z) - y, z' = x y - beta z on [0, horizon]; the operator maps the component
    x(.) that is observed, with y(0) and z(0) as constant channels, to y(.) and z(.).

    Given x(.), the other two solve a linear system that x drives (and forget their initial values): this is what is
    integrated, and its two equations are the residual. x(.) itself is that of the whole system, from x(0) and y(0)
    uniform on [-spread, spread] and z(0) uniform on [0, height], by Dormand and Prince's method of order 8 with a
    tolerance of 1e-12, sample by sample.
    Source: Calvello, Kovachki, Levine and Stuart, Continuum attention for neural operators, JMLR 26 (2025), with its
    parameters, at distances of 0.01; the system is that of Lorenz, J. Atmos. Sci. 20 (1963), and the driven one that
    of Pecora and Carroll, Phys. Rev. Lett. 64 (1990).
    """

    name = "lorenz63"
    out_names = ("y", "z")
    in_names = ("x", "y0", "z0")
    coefficients = ("sigma", "rho", "beta")

    n: int = 201
    horizon: float = 2.0
    sigma: float = 10.0
    rho: float = 28.0
    beta: float = 8 / 3
    spread: float = 15.0
    height: float = 40.0

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        t = self.grid[0].points().numpy()
        fields = []
        for i in indices:
            initial = self._initial(i, seed)
            x = solve_ivp(self._whole, (0.0, self.horizon), initial, "DOP853", t, rtol=1e-12, atol=1e-12).y[0]
            fields.append(np.stack([x, *(np.full(self.n, value) for value in initial[1:])]))
        return torch.from_numpy(np.stack(fields))

    def _initial(self, index: int, seed: int) -> np.ndarray:
        low, high = (-self.spread, -self.spread, 0.0), (self.spread, self.spread, self.height)
        return np.random.default_rng([seed, index]).uniform(low, high)

    def _whole(self, t: float, state: np.ndarray) -> tuple[float, float, float]:
        x, y, z = state
        return self.sigma * (y - x), x * (self.rho - z) - y, x * y - self.beta * z

    def start(self, a: Tensor) -> Tensor:
        return a[:, 1:, :1]

    def linear(self) -> Sequence[float]:
        return -1.0, -self.beta

    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        x, (y, z) = a[:, :1], s.split(1, dim=1)
        return torch.cat([x * (self.rho - z), x * y], dim=1)
