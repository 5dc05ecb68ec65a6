"""Training on inputs that nobody has solved for, none of them twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pdeops.data.sampler import Ordered
from pdeops.errors import InputError
from pdeops.problems.base import Problem
from pdeops.problems.evolution import Evolution
from pdeops.window import Batch, Window


class Fresh(Dataset[Batch]):
    """Sample i of a problem's inputs, for any whole number i, as a window sees it: `Batch(a, None)`.

    Of an evolution the initial state is the history. steps: of an epoch; seed: of the samples, not that of a data file,
    whose samples these are none of. Raises InputError without steps or a problem, and where the history is longer than
    one frame, or begins later than the samples.
    """

    def __init__(self, problem: Problem | None, window: Window, steps: int, seed: int) -> None:
        if problem is None:
            raise InputError(f"data.fresh={steps} draws inputs from a problem, and problem=null: set data.fresh=null")
        if steps < 1:
            raise InputError(f"data.fresh={steps}: wanted at least 1 step of an epoch, or null for the file's samples")
        self.problem, self.window, self.seed = problem, window, seed
        if window.segment is not None:
            raise InputError("data.fresh: segments start from states along trajectories, and there are none")
        if not window.evolves:
            return
        if window.n_in != 1:
            raise InputError(
                f"data.fresh: of a sample the initial state alone is known; data.window.n_in={window.n_in}: take 1"
            )
        if isinstance(problem, Evolution) and problem.start > 0:
            raise InputError(f"data.fresh: samples are states at time 0; problem.start={problem.start:g}: take 0")

    def __getitem__(self, index: int) -> Batch:
        return Batch(self.__getitems__([index]).a[0])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        return Batch(self.inputs(indices).float())

    def inputs(self, indices: Sequence[int]) -> Tensor:
        """a (n, C_in, *grid_in), float64."""
        sample = self.problem.stored(self.problem.sample(indices, self.seed))
        if not self.window.evolves:
            return sample
        states = len(self.window.targets)
        return self.window.make_input(sample[:, :states].unsqueeze(2), sample[:, states:])

    def stats(self, n: int = 256) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean and deviation of each input channel, then of each output channel, over n inputs: an output that is none
        of them has mean 0 and deviation NaN, as no solution is known; so has one that always starts from the same
        state, but for its mean."""
        sides = [[name.split("[")[0] for name in side] for side in (self.window.in_names, self.window.out_names)]
        channels = dict(zip(sides[0], self.inputs(range(n)).unbind(1), strict=True))
        means, deviations = ({name: f(a) for name, a in channels.items()} for f in (torch.mean, torch.std))

        def of(found: dict[str, Tensor], side: list[str], unknown: float) -> Tensor:
            return torch.tensor([float(found.get(name, unknown)) for name in side], dtype=torch.float64)

        mean_in, std_in, mean_out, std_out = (
            of(found, side, unknown) for side in sides for found, unknown in ((means, 0.0), (deviations, torch.nan))
        )
        return mean_in, std_in, mean_out, std_out.where(std_out > 0, torch.nan)


class Onwards(Ordered):
    """In each epoch the next `n` samples, dealt to the processes in turn: those of a batch of all processes follow one
    another."""

    def __init__(self, n: int, world: int, rank: int) -> None:
        super().__init__(range(n), world, rank, shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.total_size
        return (first + i for i in super().__iter__())
