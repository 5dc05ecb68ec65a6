"""Time steppers for u' = L u + N(u) in spectral coefficients: a scheme is a table, the loop is written once.

L is diagonal (a tensor of symbols that broadcasts against u); N is any function. L is treated implicitly by
Crank-Nicolson, N explicitly by a low-storage Runge-Kutta method, stage by stage:

    h <- N(u) + beta_k h,    mu = dt (alpha_{k+1} - alpha_k) / 2,
    u <- (u + gamma_k dt h + mu L u) / (1 - mu L).

Sources: Carpenter and Kennedy, NASA TM 109112 (1994), for the fourth-order table; Canuto, Hussaini,
Quarteroni and Zang, Spectral Methods (2006), appendix D.3, for the implicit-explicit form.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Literal

import torch
from torch import Tensor

from pdeops.errors import InputError, did_you_mean

Nonlinearity = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scheme:
    """A low-storage implicit-explicit Runge-Kutta table; `order` of (explicit, implicit) part."""

    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    gamma: tuple[float, ...]
    order: tuple[int, int]


SCHEMES = {
    "cn_rk4": Scheme(
        alpha=(0.0, 0.1496590219993, 0.3704009573644, 0.6222557631345, 0.9582821306748, 1.0),
        beta=(0.0, -0.4178904745, -1.192151694643, -1.697784692471, -1.514183444257),
        gamma=(0.1496590219993, 0.3792103129999, 0.8229550293869, 0.6994504559488, 0.1530572479681),
        order=(4, 2),
    ),
    "cn_heun": Scheme(alpha=(0.0, 1.0, 1.0), beta=(0.0, -1.0), gamma=(1.0, 0.5), order=(2, 2)),
}


@dataclass(frozen=True)
class Stepper:
    """Integrates from snapshot to snapshot with equal steps no longer than `dt` (the time unit of the PDE).

    tolerance: the relative step-halving error (a solution against the one at twice the step) above which a
    reference solution is refused.
    Raises InputError on an unknown scheme, a step or tolerance that is not positive.
    """

    scheme: str = "cn_rk4"
    dt: float = 0.02
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(
                f"problem.solver.scheme={self.scheme!r} is not known. {did_you_mean(self.scheme, SCHEMES)}"
            )
        if not self.dt > 0 or not self.tolerance > 0:
            raise InputError(f"problem.solver: dt={self.dt}, tolerance={self.tolerance}: both must be positive")

    def integrate(
        self,
        linear: Tensor,
        nonlinear: Nonlinearity,
        u: Tensor,
        times: Tensor,
        *,
        coarsen: Literal[1, 2] = 1,
        record: Callable[[int, Tensor], None],
    ) -> None:
        """Call `record(i, u(times[i]))` for every snapshot, the first being the initial state `u`.

        coarsen: 2 doubles the step (for the step-halving error).
        """
        record(0, u)
        for i, span in enumerate(torch.diff(times).tolist(), start=1):
            steps = self.steps(span, coarsen)
            advance = self._step(linear, span / steps)
            for _ in range(steps):
                u = advance(u, nonlinear)
            record(i, u)

    def steps(self, span: float, coarsen: Literal[1, 2] = 1) -> int:
        """Steps over a time span: an even number, half of it at twice the step."""
        half = max(1, ceil(ceil(span / self.dt - 1e-9) / 2))
        return half if coarsen == 2 else 2 * half

    def seconds(self, linear: Tensor, nonlinear: Nonlinearity, u: Tensor, times: Tensor) -> float:
        """An estimate of the wall time of `integrate`: three steps are timed, the rest is counted."""
        advance = self._step(linear, self.dt)
        u = advance(u, nonlinear)  # warm up
        start = time.perf_counter()
        for _ in range(3):
            u = advance(u, nonlinear)
        if u.is_cuda:
            torch.cuda.synchronize(u.device)
        per_step = (time.perf_counter() - start) / 3
        return per_step * sum(self.steps(span) for span in torch.diff(times).tolist())

    def _step(self, linear: Tensor, dt: float) -> Callable[[Tensor, Nonlinearity], Tensor]:
        table = SCHEMES[self.scheme]
        stages = []
        for k, (beta, gamma) in enumerate(zip(table.beta, table.gamma, strict=True)):
            mu = 0.5 * dt * (table.alpha[k + 1] - table.alpha[k]) * linear
            stages.append((beta, gamma * dt / (1 - mu), (1 + mu) / (1 - mu)))

        def advance(u: Tensor, nonlinear: Nonlinearity) -> Tensor:
            h = torch.zeros_like(u)
            for beta, explicit, implicit in stages:
                h = nonlinear(u) + beta * h
                u = implicit * u + explicit * h
            return u

        return advance
