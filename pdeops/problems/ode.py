"""Systems of ordinary differential equations that are driven by functions of time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import factorial, inf
from typing import ClassVar

import numpy as np
import torch
from scipy.interpolate import make_interp_spline
from torch import Tensor

from pdeops.bases.differences import derivative_matrix
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Lp, check_shape
from pdeops.problems.base import Problem, Progress, Solution
from pdeops.problems.inputs import Inputs
from pdeops.solvers.schemes import Nonlinearity
from pdeops.solvers.steppers import Stepper, floored

DEGREE = 5  # of the splines through the controls
FEWEST = 7  # nodes: what differences of sixth order take


@dataclass(kw_only=True, eq=False)
class Ode(Problem):
    """s' = L s + N(s, a(t), t) on [0, horizon], L diagonal and constant, s(0) = `start(a)`.

    The operator maps functions of t to functions of t: the controls a, and constants as constant channels, to the
    state s, on n nodes with both end points. So t is an axis of the grid like any other, not a time axis: models are
    trained on it as on the fields of a steady problem.
    Raises InputError on sizes out of range.
    """

    coefficients: ClassVar[tuple[str, ...]] = ()
    derivative: ClassVar[int] = 0  # what N sees of the controls: this derivative of theirs

    n: int = 100
    horizon: float = 1.0
    solver: Stepper = field(default_factory=Stepper)

    def __post_init__(self) -> None:
        self.check_solver(Stepper, "an evolution, and wants a time stepper: etdrk4, ifrk4, cn_heun ...")
        if self.n < FEWEST or not 0 < self.horizon < inf:
            raise InputError(
                f"problem.n={self.n}, problem.horizon={self.horizon}: wanted n >= {FEWEST} nodes and a positive, "
                "finite horizon"
            )

    @property
    def grid(self) -> Grid:
        return Grid((Axis("t", self.n, self.horizon, "uniform"),))

    @property
    def parameters(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.coefficients}

    def start(self, a: Tensor) -> Tensor:
        """s(0), broadcastable to (B, C_out, 1); here: zero."""
        return a.new_zeros(1, len(self.out_names), 1)

    def restarted(self, n: int) -> Ode:
        """This system on its first n nodes, from any state. Raises InputError unless its inputs are controls alone."""
        raise InputError(
            f"data.window.segment={n} starts anew from any state, and {self.name} has initial values among its inputs "
            f"{list(self.in_names)}; it cuts driven systems (pendulum, antiderivative, ...)"
        )

    def linear(self) -> Sequence[float]:
        """L, a number for each component; here: zero, with which `etdrk4` is the classical Runge-Kutta method."""
        return (0.0,) * len(self.out_names)

    @abstractmethod
    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        """N (B, C_out, n) of states s (B, C_out, n) and controls a (B, C_in, n) (or their derivatives) at the
        instants t (n,), or at one instant, where n is 1."""

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        """Integrate inputs a (B, C_in, n) on `grid` in float64. Between its nodes the controls are splines of degree 5
        (not-a-knot), whose own error, O(dt^6) with dt the nodes' distance, is not in the step-halving error.

        The recorded residual is its L2 norm. Raises InputError if a is on another grid, and Diverged, naming the
        sample and the time, if a solution stops being finite.
        """
        check_shape(a, self.grid)
        a = a.double()
        u, error, _ = self.solver.solve(
            *self._system(a), observe=lambda s: s[..., 0], distance=self._distance, progress=progress
        )
        residual = Lp(self.grid)(self.residual(a, u, self.grid)).amax(1)
        return Solution(u, residual, error <= self.solver.tolerance, error)

    def cost(self, a: Tensor) -> float:
        return self.solver.seconds(*self._system(a.double()))

    def _system(self, a: Tensor) -> tuple[Tensor, Nonlinearity, Tensor, Tensor]:
        """What the stepper integrates, states being (B, C_out, 1): L, N, the initial state, the instants."""
        times = self.grid[0].points()
        controls = _Spline(times, a, self.derivative)
        initial = self.start(a).expand(len(a), len(self.out_names), 1)
        return self._diagonal(a), lambda s, t: self.nonlinear(s, controls(t), t), initial, times

    def _diagonal(self, like: Tensor) -> Tensor:
        return torch.tensor(tuple(self.linear()), dtype=like.dtype, device=like.device).view(-1, 1)

    def _distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Relative L2 distance of the worst component; u (B, C_out, n)."""
        norm = Lp(self.grid)
        return (norm(u - v) / floored(norm(u))).amax(1)

    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """r = s' - L s - N(s, a, t), a and u both on `grid`, derivatives by differences of sixth order, which is
        the order of its floor on exact solutions; on chebyshev nodes of the polynomials through them. An error of s(0)
        is not in it: `constrain` takes care of that.

        Raises InputError if a or u is not on `grid`, or grid is not one of at least seven nodes along t.
        """
        if grid.names != self.grid.names or grid[0].n < FEWEST:
            raise InputError(f"{self.name}: a residual needs a grid of {FEWEST} or more nodes along t; got {grid}")
        check_shape(a, grid)
        check_shape(u, grid)
        t = grid[0].points()
        slope = derivative_matrix(grid[0]).to(u).mT
        for _ in range(self.derivative):
            a = a @ slope
        return u @ slope - self._diagonal(u) * u - self.nonlinear(u, a, t.to(u))

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with its value at t = 0 replaced by s(0)."""
        return torch.where(grid[0].points().to(u.device) == 0, self.start(a).to(u), u)


@dataclass(kw_only=True, eq=False)
class Driven(Ode):
    """An `Ode` whose inputs are samples of `controls`."""

    controls: Inputs

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        return self.controls(self.grid, indices, seed)

    def restarted(self, n: int) -> Ode:
        if n < FEWEST:
            raise InputError(f"data.window.segment={n}: wanted {FEWEST} nodes or more of {self.name}")
        return Restarted(of=self, n=n, horizon=self.horizon * (n - 1) / (self.n - 1), solver=self.solver)


@dataclass(kw_only=True, eq=False)
class Restarted(Ode):
    """A driven system from any state on: s(0), as constant channels after the controls, is given with them. t begins at
    0 in each restart: the right-hand side must not depend on it.
    """

    of: Driven

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.of.name

    @property
    def in_names(self) -> tuple[str, ...]:
        return self.of.in_names + tuple(f"{name}[+0]" for name in self.out_names)

    @property
    def out_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.of.out_names

    @property
    def parameters(self) -> dict[str, float]:
        return self.of.parameters

    @property
    def derivative(self) -> int:  # type: ignore[override]
        return self.of.derivative

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        """The beginnings of the system's own samples, from its own start."""
        controls = self.of.sample(indices, seed)[..., : self.n]
        return torch.cat([controls, self.of.start(controls).expand(-1, len(self.out_names), self.n)], dim=1)

    def start(self, a: Tensor) -> Tensor:
        return a[:, len(self.of.in_names) :, :1]

    def linear(self) -> Sequence[float]:
        return self.of.linear()

    def nonlinear(self, s: Tensor, a: Tensor, t: Tensor | float) -> Tensor:
        return self.of.nonlinear(s, a[:, : len(self.of.in_names)], t)


class _Spline:
    """The interpolating spline through values (B, C, n) at equally spaced times, or its derivative: t -> (B, C, 1)."""

    def __init__(self, times: Tensor, values: Tensor, derivative: int) -> None:
        t = times.numpy()
        # values that are not finite pass: they make the solution diverge, which is reported with sample and time
        spline = make_interp_spline(t, values.movedim(-1, 0).cpu().numpy(), k=DEGREE, check_finite=False)
        # every interval of the nodes holds one polynomial: its Taylor coefficients at the interval's left end
        orders = range(derivative, DEGREE + 1)
        taylor = [spline(t[:-1], nu=k) / factorial(k - derivative) for k in orders]
        self._taylor = torch.from_numpy(np.stack(taylor)).to(values).unsqueeze(-1)  # (order, interval, B, C, 1)
        self._start, self._spacing = float(t[0]), float(t[1] - t[0])

    def __call__(self, t: float) -> Tensor:
        last = self._taylor.shape[1] - 1
        i = min(max(int((t - self._start) / self._spacing), 0), last)
        h = t - self._start - i * self._spacing
        first, *rest = reversed(self._taylor[:, i].unbind())
        for c in rest:
            first = torch.add(c, first, alpha=h)
        return first
