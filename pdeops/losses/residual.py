"""The residual of the PDE as a loss: no reference solution is needed."""

from __future__ import annotations

from torch import Tensor

from pdeops.errors import InputError
from pdeops.norms import Sobolev, weak_norm
from pdeops.problems.base import Problem
from pdeops.window import Batch, Window


class Residual:
    """mean over samples and equations of ||r(u)||_{H^s}, r the strong residual of the problem.

    s=None: `weak_norm`, H^-1 on tori and L2 between walls, where there is no H^s.

    Of an evolution, the history and the prediction together are the trajectory whose residual is taken; its
    time derivative is as good as the frames are close (`Evolution.residual`).
    Raises InputError without a problem.
    """

    def __init__(self, window: Window, *, problem: Problem | None, s: float | None = None) -> None:
        if problem is None:
            raise InputError("loss=residual needs the PDE, and problem=null: choose a problem, or another loss")
        self.window, self.problem, self.s = window, problem, s
        self.grid = window.frames_grid(window.n_in + window.n_out) if window.evolves else window.bound
        self.norm = weak_norm(self.grid) if s is None else Sobolev(self.grid, s)

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        if self.window.evolves:
            u = self.window.joint_frames(batch.a, u)
        return self.norm(self.problem.residual(batch.a, u, self.grid)).mean()
