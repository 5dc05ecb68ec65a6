"""Fields that a problem samples, the inputs that a surrogate is given of them, and the solver's truth."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.nn.resample import INWARD, resampled
from pdeops.problems.base import Problem, Progress
from pdeops.problems.evolution import Evolution
from pdeops.surrogate import Surrogate

SAME = 1e-5  # of the largest value: closer to the sample, a value was not touched


class Truths:
    """Of a surrogate whose problem is at hand. One sample at a time, in double precision.

    Raises InputError of a surrogate without a problem.
    """

    def __init__(self, surrogate: Surrogate) -> None:
        if surrogate.problem is None:
            raise InputError("this surrogate knows no equation: there is nothing to sample or to solve")
        self.problem: Problem = surrogate.problem
        self.window = surrogate.window

    def sample(self, seed: int) -> Tensor:
        """The problem's inputs (1, C, *space) on the nodes that are stored."""
        return self.problem.stored(self.problem.sample([0], seed))

    def input(self, seed: int, fields: np.ndarray | None, progress: Progress | None = None) -> Tensor:
        """The surrogate's input (1, C_in, *grid_in) that belongs to the problem's inputs: those, or the first
        frames of the evolution that they begin."""
        a, window = self._posed(seed, fields), self.window
        if not window.evolves:
            return self.problem.stored(a)
        static = self.problem.stored(a)[:, len(window.targets) :]
        return window.make_input(self._frames(a, window.n_in, progress), static)

    def solve(self, seed: int, fields: np.ndarray | None, steps: int, progress: Progress | None = None) -> Tensor:
        """The solution (1, C, *grid), or the `steps` frames (steps, 1, C, *space) that follow the surrogate's input."""
        a, window = self._posed(seed, fields), self.window
        if not window.evolves:
            return self.problem.solve(a, progress).u
        return self._frames(a, window.n_in + steps, progress)[:, :, window.n_in :].movedim(2, 0)

    def values(self, steps: int) -> int:
        """How many the solver keeps on its way to so many frames."""
        frames = (self.window.n_in + steps) * self.window.stride if self.window.evolves else 1
        return frames * len(self.problem.out_names) * prod(self.problem.grid.space.shape)

    def _posed(self, seed: int, fields: np.ndarray | None) -> Tensor:
        """Inputs (1, C, *lattice) of the solver: the sample where `fields` are its values, and fields where they were
        drawn, interpolated if the solver's lattice is finer than the stored one."""
        a = self.problem.sample([0], seed)
        if fields is None:
            return a
        stored, grid = self.problem.stored(a), self.problem.grid.space
        u = torch.from_numpy(np.array(fields, dtype=np.float64))
        if u.shape != stored.shape or not u.isfinite().all():
            raise InputError(
                f"fields of shape {tuple(u.shape)}; wanted {tuple(stored.shape)} with the channels "
                f"{list(self.problem.in_names)}, and finite values"
            )
        if a.shape == stored.shape:
            return u
        drawn = ((u - stored).abs() > SAME * stored.abs().amax()).double()
        u, drawn = (resampled(x.movedim(1, -1), grid, a.shape[2:], INWARD).movedim(-1, 1) for x in (u, drawn))
        return torch.where(drawn > 0.5, u, a)

    def _frames(self, a: Tensor, n: int, progress: Progress | None) -> Tensor:
        """The first n frames of the window (1, C, n, *space), of the evolution from inputs a on."""
        problem, stride = self.problem, self.window.stride
        assert isinstance(problem, Evolution)
        last = (n - 1) * stride
        if last == 0 and problem.start == 0:  # nothing to solve: the part of the state that the solver can hold
            basis = problem.basis(problem.grid.space)
            state = problem.stored(a)[:, : len(self.window.targets)]
            return basis.to_values(problem.admissible(basis, basis.to_modes(state))).unsqueeze(2)
        step = (problem.horizon - problem.start) / problem.frames
        longer = replace(problem, frames=max(last, 1), horizon=problem.start + max(last, 1) * step)
        return longer.solve(a, progress).u[:, :, : last + 1 : stride]
