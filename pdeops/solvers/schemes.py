"""One-step schemes for u' = L u + N(u, t) with L diagonal: a scheme is a table, and each family has one engine.

A step is a function (u, t, nonlinear) -> u(t + dt), prepared once for an operator and a step size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from pdeops.solvers.phi import phi

Nonlinearity = Callable[[Tensor, float], Tensor]
Step = Callable[[Tensor, float, Nonlinearity], Tensor]
Phi = Callable[[int, float], Tensor]
Entry = Tensor | float


class Scheme(Protocol):
    """order: that of the error in dt for smooth solutions; stages: evaluations of N per step."""

    @property
    def order(self) -> int: ...
    @property
    def stages(self) -> int: ...
    def prepare(self, linear: Tensor, dt: float, dtype: torch.dtype) -> Step:
        """The step of size `dt` for the symbol `linear`, which broadcasts against the state (of type `dtype`)."""


@dataclass(frozen=True)
class ImplicitExplicit:
    """L by Crank-Nicolson, N by a low-storage Runge-Kutta method, stage by stage:

        h <- N(u) + beta_k h,    mu = dt (alpha_{k+1} - alpha_k) / 2,
        u <- (u + gamma_k dt h + mu L u) / (1 - mu L).

    The orders are those of N alone and of L alone; together the least of them holds.
    Source: Canuto, Hussaini, Quarteroni and Zang, Spectral Methods (2006), appendix D.3.
    """

    alpha: tuple[float, ...]
    beta: tuple[float, ...]
    gamma: tuple[float, ...]
    orders: tuple[int, int]

    @property
    def order(self) -> int:
        return min(self.orders)

    @property
    def stages(self) -> int:
        return len(self.beta)

    def prepare(self, linear: Tensor, dt: float, dtype: torch.dtype) -> Step:
        table = []
        for k, (beta, gamma) in enumerate(zip(self.beta, self.gamma, strict=True)):
            mu = 0.5 * dt * (self.alpha[k + 1] - self.alpha[k]) * linear
            explicit, implicit = gamma * dt / (1 - mu), (1 + mu) / (1 - mu)
            table.append((self.alpha[k] * dt, beta, explicit.to(dtype), implicit.to(dtype)))

        def step(u: Tensor, t: float, nonlinear: Nonlinearity) -> Tensor:
            h = None
            for offset, beta, explicit, implicit in table:
                tendency = nonlinear(u, t + offset)
                h = tendency if h is None else torch.add(tendency, h, alpha=beta)
                u = torch.addcmul(implicit * u, explicit, h)
            return u

        return step


@dataclass(frozen=True)
class Exponential:
    """Explicit exponential Runge-Kutta: L exactly, N at the nodes c_i,

        U_i = exp(c_i dt L) u + dt sum_j a_ij(dt L) N(U_j),    u+ = exp(dt L) u + dt sum_i b_i(dt L) N(U_i).

    table: given phi(k, c) = phi_k(c dt L), the rows a_i (for i = 2, 3, ...) and b; an entry 0 is left out.
    Source: Hochbruck and Ostermann, Exponential integrators, Acta Numerica 19 (2010), section 2.3.
    """

    order: int
    nodes: tuple[float, ...]
    table: Callable[[Phi], tuple[Sequence[Sequence[Entry]], Sequence[Entry]]]

    @property
    def stages(self) -> int:
        return len(self.nodes)

    def prepare(self, linear: Tensor, dt: float, dtype: torch.dtype) -> Step:
        z = dt * linear
        rows, weights = self.table(lambda k, c: phi(k, c * z))
        decay = {c: (c * z).exp().to(dtype) for c in (*self.nodes, 1.0)}
        coefficients = [
            [(j, (dt * entry).to(dtype)) for j, entry in enumerate(row) if isinstance(entry, Tensor)]
            for row in ([], *rows, weights)
        ]
        plan = list(zip((*self.nodes, 1.0), coefficients, strict=True))

        def step(u: Tensor, t: float, nonlinear: Nonlinearity) -> Tensor:
            tendencies: list[Tensor] = []
            decayed: dict[float, Tensor] = {0.0: u}
            for c, row in plan:
                if c not in decayed:
                    decayed[c] = decay[c] * u
                stage = decayed[c]
                for j, coefficient in row:
                    stage = torch.addcmul(stage, coefficient, tendencies[j])
                if len(tendencies) < self.stages:
                    tendencies.append(nonlinear(stage, t + c * dt))
            return stage

        return step


def _etdrk2(phi: Phi) -> tuple[list[list[Entry]], list[Entry]]:
    return [[phi(1, 1)]], [phi(1, 1) - phi(2, 1), phi(2, 1)]


def _etdrk3(phi: Phi) -> tuple[list[list[Entry]], list[Entry]]:
    p1, p2, p3 = (phi(k, 1) for k in (1, 2, 3))
    return [[phi(1, 0.5) / 2], [-p1, 2 * p1]], [p1 - 3 * p2 + 4 * p3, 4 * p2 - 8 * p3, 4 * p3 - p2]


def _etdrk4(phi: Phi) -> tuple[list[list[Entry]], list[Entry]]:
    half, p1, p2, p3 = phi(1, 0.5) / 2, *(phi(k, 1) for k in (1, 2, 3))
    rows: list[list[Entry]] = [[half], [0.0, half], [half * (phi(0, 0.5) - 1), 0.0, 2 * half]]
    return rows, [p1 - 3 * p2 + 4 * p3, 2 * p2 - 4 * p3, 2 * p2 - 4 * p3, 4 * p3 - p2]


def _ifrk4(phi: Phi) -> tuple[list[list[Entry]], list[Entry]]:
    half, full = phi(0, 0.5), phi(0, 1)
    one = torch.ones_like(half)
    return [[half / 2], [0.0, one / 2], [0.0, 0.0, half]], [full / 6, half / 3, half / 3, one / 6]


SCHEMES: dict[str, Scheme] = {
    # Carpenter and Kennedy, NASA TM 109112 (1994)
    "cn_rk4": ImplicitExplicit(
        alpha=(0.0, 0.1496590219993, 0.3704009573644, 0.6222557631345, 0.9582821306748, 1.0),
        beta=(0.0, -0.4178904745, -1.192151694643, -1.697784692471, -1.514183444257),
        gamma=(0.1496590219993, 0.3792103129999, 0.8229550293869, 0.6994504559488, 0.1530572479681),
        orders=(4, 2),
    ),
    "cn_heun": ImplicitExplicit(alpha=(0.0, 1.0, 1.0), beta=(0.0, -1.0), gamma=(1.0, 0.5), orders=(2, 2)),
    "cn_euler": ImplicitExplicit(alpha=(0.0, 1.0), beta=(0.0,), gamma=(1.0,), orders=(1, 2)),
    # Cox and Matthews, J. Comput. Phys. 176 (2002)
    "etdrk2": Exponential(2, (0.0, 1.0), _etdrk2),
    "etdrk3": Exponential(3, (0.0, 0.5, 1.0), _etdrk3),
    "etdrk4": Exponential(4, (0.0, 0.5, 0.5, 1.0), _etdrk4),
    # the classical Runge-Kutta method behind the integrating factor exp(-L t): Lawson, SIAM J. Numer. Anal. 4 (1967)
    "ifrk4": Exponential(4, (0.0, 0.5, 0.5, 1.0), _ifrk4),
}
