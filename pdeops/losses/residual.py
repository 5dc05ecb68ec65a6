"""The residual of the PDE as a loss: no reference solution is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Literal

import torch
from torch import Tensor

from pdeops.bases.differences import series_differentiation_matrix
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.losses.supervised import on_a_lattice
from pdeops.nn.resample import spectrally
from pdeops.norms import CoefficientSum, Norm, OnLattice, Sobolev, weak_norm
from pdeops.problems.base import Problem
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.evolution import Evolution
from pdeops.problems.mild import MildResidual
from pdeops.window import Batch, Window


class Residual:
    """mean over samples and equations of ||r(u)||_{H^s}, r the strong residual of the problem.

    Formed on the lattice in space on which u comes. s=None: `weak_norm`, H^-1 on tori and L2 between walls. s, alpha:
    of `norms.Sobolev`, between walls too; s="coefficients": `norms.CoefficientSum`, as published. Of -Laplace u = f,
    u = 0 on the walls, s = -2 with alpha = 0 is the error in L2, and s = -1 its gradient's: exactly, if the values on
    the walls are those of f + Laplace u; with the zeros that collocation leaves there, to about 1e-4 of it.

    Of an evolution, the history and the prediction together are the trajectory whose residual is taken; its
    time derivative is as good as the frames are close (`Evolution.residual`).
    ansatz: (period, modes, start) of a model whose prediction is a trigonometric series in time with the last history
    frame's values at time 0. Then that frame and the prediction are the trajectory, and its derivative is the series'
    own, exact at any distance of the frames.
    collocation: the lattice of a model that is a polynomial in time, or between walls, and of which it is asked there
    (`Batch.out`): the residual is that of these polynomials, in double precision. Time has chebyshev nodes, from the
    initial state on. Of frames in channels, and of a balance in finite volumes, it is that on the window's own nodes.
    mild: of an evolution, the mild residual instead (`MildResidual`), s=None then being 0.
    relative: the norm over that of the residual of zero; of an evolution, of the last history frame at all times.
    Raises InputError without a problem, and on an ansatz that is none, that the frames do not resolve, or that has no
    place: of a steady problem, and beside a collocation.
    """

    def __init__(
        self,
        window: Window,
        *,
        problem: Problem | None,
        s: float | Literal["coefficients"] | None = None,
        alpha: float = 1.0,
        mild: bool = False,
        relative: bool = False,
        ansatz: tuple[float, int, float] | None = None,
        collocation: Grid | None = None,
    ) -> None:
        if problem is None:
            raise InputError("loss=residual needs the PDE, and problem=null: choose a problem, or another loss")
        if ansatz is not None:
            _check_ansatz(ansatz, collocation)
        problem = window.posed(problem)
        self.window, self.problem = window, problem
        self.s, self.alpha, self.mild, self.relative = s, alpha, mild, relative
        own_nodes = window.stacked or isinstance(problem, Elliptic)
        self.ansatz, self.collocation = ansatz, None if own_nodes else collocation
        self.history = window.n_in if ansatz is None else 1  # frames before the prediction
        frames = window.frames_grid(self.history + window.n_out) if window.evolves else window.grid_out
        self.grid = frames if self.collocation is None else self.collocation
        self.norm = OnLattice(self.grid, _norm(0 if s is None and mild else s, alpha))
        self.residual: Callable[[Tensor, Tensor, Grid], Tensor] = problem.residual
        if mild:
            self.residual = MildResidual(problem, known=self.history)
        elif ansatz is not None and self.collocation is None:
            if not (window.evolves and isinstance(problem, Evolution)):
                raise InputError(f"an ansatz in time of a model for {problem.name}, which is no evolution")
            period, modes, _ = ansatz  # a series is one from any start
            matrix = series_differentiation_matrix(self.grid[0].points(), period, modes)
            self.residual = partial(problem.residual, derivative=matrix)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        on_a_lattice(batch)
        if self.collocation is not None:
            if batch.out != self.collocation:
                raise InputError(f"this residual is formed on {self.collocation}; got a prediction for out={batch.out}")
            a, start = self._given(batch.a)
            u = self.problem.constrain(a, u.double(), self.collocation)  # which a surrogate does on the window's nodes
            return self._size(a, start, u, self.collocation).mean()
        start = None
        if self.window.evolves:
            joint = self.window.joint_frames(batch.a, u)
            u, start = joint[:, :, self.window.n_in - self.history :], joint[:, :, self.window.n_in - 1]
        grid = self.grid.resized_in_space(u.shape[u.ndim - self.grid.space.ndim :])
        return self._size(batch.a, start, u, grid).mean()

    def scale(self, a: Tensor) -> float:
        """||r(u_0)|| over ||r(u_0 + v) - r(u_0)|| times the deviation of v: how far solutions are from u_0, by the
        linear part of the equation and inputs a (B, C_in, *grid_in) alone. Of a steady field u_0 is zero with the
        conditions of the problem, of an evolution its initial state at all times; v is smooth and vanishes at walls:
        the first input that is not zero times 4 s (1 - s), s in [0, 1] (of an evolution times the fraction of time
        passed). Raises InputError where that is no positive number."""
        evolves, grid = self.window.evolves, self.grid
        inputs, start = self._given(a) if self.collocation is not None else self._own(a)
        first = next((x for x in inputs.unbind(1) if x.any()), inputs[:, 0]).unsqueeze(1)
        v = first.expand(-1, len(self.window.targets), *first.shape[2:])
        for i, axis in enumerate(grid.space, 2):
            if not axis.periodic:
                s = (axis.points() - axis.start) / axis.length
                v = v * (4 * s * (1 - s)).view(-1, *(1,) * (grid.space.ndim + 1 - i)).to(v)
        if evolves:
            t = (grid[0].points() - grid[0].start) / grid[0].length
            v = v.unsqueeze(2) * t.view(-1, *(1,) * grid.space.ndim).to(v)
        zero = torch.zeros_like(v) if start is None else start.unsqueeze(2).expand_as(v)
        zero, u = (self.problem.constrain(inputs, x, grid) for x in (zero, zero + v))
        at_zero = self.residual(inputs, zero, grid)
        there = self.norm(self.residual(inputs, u, grid) - at_zero)
        scale = float((u - zero).std() * self.norm(at_zero).mean() / there.mean())
        if not 0 < scale < inf:
            raise InputError(
                f"{self.problem.name}: how large solutions are does not follow from its residual at zero and at the "
                f"inputs ({scale:g}): train on a file's samples (data.fresh=null)"
            )
        return scale

    def _size(self, a: Tensor, start: Tensor | None, u: Tensor, grid: Grid) -> Tensor:
        """(B, n_eq): the residual's norm. start: (B, C, *space), the last known frame of an evolution."""
        size = self.norm(self.residual(a, u, grid))
        if not self.relative:
            return size
        still = torch.zeros_like(u) if start is None else start.unsqueeze(2).expand_as(u).to(u)
        with torch.no_grad():
            reference = self.norm(self.residual(a, still, grid))
        return size / reference.where(reference > 0, 1.0)

    def _given(self, a: Tensor) -> tuple[Tensor, Tensor | None]:
        """The problem's inputs on `collocation`'s space, and of an evolution the state it starts from; float64."""
        space, there = self.window.grid_out.space, self.grid.space
        inputs = self.window.problem_inputs(a) if self.window.evolves else a
        inputs = inputs.double().movedim(1, -1)
        inputs = spectrally(inputs, space.resized(inputs.shape[1:-1]), there).movedim(-1, 1)
        return inputs, inputs[:, : len(self.window.targets)] if self.window.evolves else None

    def _own(self, a: Tensor) -> tuple[Tensor, Tensor | None]:
        """The same on the window's own nodes."""
        if not self.window.evolves:
            return a, None
        return self.window.problem_inputs(a), self.window.history_frames(a)[:, :, -1]


def _check_ansatz(ansatz: Sequence[float], collocation: Grid | None) -> None:
    if len(ansatz) != 3 or not ansatz[0] > 0 or ansatz[1] < 1 or ansatz[1] != int(ansatz[1]):
        raise InputError(f"loss.ansatz={list(ansatz)}: wanted [period, modes, start], a period > 0, at least one mode")
    if collocation is not None:
        raise InputError(
            f"loss.ansatz={list(ansatz)} is for predictions that are a series in time, and this model's are "
            "polynomials, whose derivatives are their own: leave it out"
        )


def _norm(s: float | Literal["coefficients"] | None, alpha: float) -> Callable[[Grid], Norm]:
    if isinstance(s, str):
        if s != "coefficients":
            raise InputError(f"loss.s={s!r}: wanted a number, coefficients (their plain sum), or null")
        return CoefficientSum
    return partial(weak_norm, alpha=alpha) if s is None else partial(Sobolev, s=s, alpha=alpha)
