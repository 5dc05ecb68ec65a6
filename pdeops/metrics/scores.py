"""What predictions are worth beside reference solutions: the numbers that tests and evaluations average."""

from __future__ import annotations

import torch
from torch import Tensor

from pdeops.metrics.panel import Panel
from pdeops.metrics.residual import residual_norm
from pdeops.metrics.rollout import errors_by_segment
from pdeops.problems.base import Problem
from pdeops.window import Window


class Scores:
    """The panel and, where there is an equation, residuals: each (B, C) or (B, n_eq), one number per sample and field.

    window: bound to the grid of the references; problem: what inputs and outputs of this window belong to
    (`Window.posed`), or None.
    """

    def __init__(self, window: Window, problem: Problem | None = None) -> None:
        self.window, self.problem = window, problem
        self.panel = Panel(window.grid_out.space)

    def outputs(self, a: Tensor, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        """Of outputs u (B, C_out, *grid_out) from inputs a, beside references v."""
        u, v = self.window.unstack(u), self.window.unstack(v)
        found = self.panel(u, v)
        if self.problem is not None and not self.window.evolves:
            for name, field in (("residual", u), ("residual_truth", v)):
                found[name] = residual_norm(self.problem, a, field, self.window.grid_out)
        return found

    def trajectories(self, a: Tensor, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        """Of whole trajectories u from first inputs a, beside references v: frames (B, C, T, *space), or driven states
        (B, C, n). The names begin with `rollout/`."""
        found = self._rollouts(a, u, v) if self.window.segment is None else self._driven(u, v)
        return {f"rollout/{name}": value for name, value in found.items()}

    def times(self, frames: int) -> Tensor:
        """Of so many frames in a row, counted from the last one of the history."""
        return self.window.time_step * torch.arange(1, frames + 1, dtype=torch.float64)

    def _rollouts(self, a: Tensor, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        """The panel along rollouts, and the PDE's residual (`weak_norm`) along them and along the reference: the floor
        that snapshots allow."""
        found = self.panel.rollout(u, v, self.times(u.shape[2]))
        if self.problem is not None:
            history = self.window.history_frames(a)
            grid = self.window.frames_grid(history.shape[2] + u.shape[2])
            for name, frames in (("residual", u), ("residual_truth", v)):
                found[name] = residual_norm(self.problem, a, torch.cat([history, frames], dim=2), grid)
        return found

    def _driven(self, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        """Of driven trajectories, segment after segment: the panel, and the errors of each segment, the first one 1."""
        window = self.window
        assert window.segment is not None
        each = errors_by_segment(u, v, window.bound[0], window.segment)
        return Panel(window.bound)(u, v) | {f"relative_l2[{k}]": error for k, error in enumerate(each.unbind(-1), 1)}


def counted(name: str, values: Tensor) -> Tensor:
    """The values that a mean is taken of: a correlation that does not exist counts for nothing."""
    return values[~values.isnan()] if name.endswith("pearson") else values
