"""The residual of the PDE as a loss: no reference solution is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from pdeops.bases.differences import series_differentiation_matrix
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.losses.supervised import on_a_lattice
from pdeops.norms import OnLattice, Sobolev, weak_norm
from pdeops.problems.base import Problem
from pdeops.problems.evolution import Evolution
from pdeops.window import Batch, Window


class Residual:
    """mean over samples and equations of ||r(u)||_{H^s}, r the strong residual of the problem.

    Formed on the lattice in space on which u comes. s=None: `weak_norm`, H^-1 on tori and L2 between walls. s, alpha:
    of `norms.Sobolev`, between walls too. Of -Laplace u = f, u = 0 on the walls, s = -2 with alpha = 0 is the error in
    L2, and s = -1 its gradient's: exactly, if the values on the walls are those of f + Laplace u; with the zeros that
    collocation leaves there, to about 1e-4 of it.

    Of an evolution, the history and the prediction together are the trajectory whose residual is taken; its
    time derivative is as good as the frames are close (`Evolution.residual`).
    ansatz: (period, modes, start) of a model whose prediction is a trigonometric series in time with the last history
    frame's values at time 0. Then that frame and the prediction are the trajectory, and its derivative is the series'
    own, exact at any distance of the frames.
    Raises InputError without a problem, and on an ansatz that the frames do not resolve or of a steady problem.
    """

    def __init__(
        self,
        window: Window,
        *,
        problem: Problem | None,
        s: float | None = None,
        alpha: float = 1.0,
        ansatz: tuple[float, int, float] | None = None,
    ) -> None:
        if problem is None:
            raise InputError("loss=residual needs the PDE, and problem=null: choose a problem, or another loss")
        problem = window.posed(problem)
        self.window, self.problem, self.s, self.alpha, self.ansatz = window, problem, s, alpha, ansatz
        self.history = window.n_in if ansatz is None else 1  # frames before the prediction
        self.grid = window.frames_grid(self.history + window.n_out) if window.evolves else window.grid_out
        norm = weak_norm if s is None else partial(Sobolev, s=s)
        self.norm = OnLattice(self.grid, partial(norm, alpha=alpha))
        self.residual: Callable[[Tensor, Tensor, Grid], Tensor] = problem.residual
        if ansatz is not None:
            if not (window.evolves and isinstance(problem, Evolution)):
                raise InputError(f"an ansatz in time of a model for {problem.name}, which is no evolution")
            period, modes, _ = ansatz  # a series is one from any start
            matrix = series_differentiation_matrix(self.grid[0].points(), period, modes)
            self.residual = partial(problem.residual, derivative=matrix)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        on_a_lattice(batch)
        if self.window.evolves:
            u = self.window.joint_frames(batch.a, u)[:, :, self.window.n_in - self.history :]
        grid = self.grid.resized_in_space(u.shape[u.ndim - self.grid.space.ndim :])
        return self.norm(self.residual(batch.a, u, grid)).mean()
