"""Training on inputs that nobody has solved for, none of them twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from pdeops.errors import InputError
from pdeops.problems.base import Problem
from pdeops.problems.evolution import Evolution
from pdeops.window import Batch, Window


class Fresh(Dataset[Batch]):
    """Sample i of a problem's inputs, for any whole number i, as a window sees it: `Batch(a, None)`.

    Of an evolution the initial state is the history. seed: of the samples, not that of a data file, whose samples these
    are none of. Raises InputError where the history is longer than one frame, or begins later than the samples.
    """

    def __init__(self, problem: Problem, window: Window, seed: int) -> None:
        self.problem, self.window, self.seed = problem, window, seed
        if window.segment is not None:
            raise InputError("data.fresh: segments start from states along trajectories, and there are none")
        if not window.evolves:
            return
        if window.n_in != 1:
            raise InputError(
                f"data.fresh: of a fresh sample the initial state alone is known; data.window.n_in={window.n_in}: take 1"
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


class Onwards(DistributedSampler[int]):
    """In each epoch the next `n` samples, dealt to the processes in turn: those of a batch of all processes follow one
    another."""

    def __init__(self, n: int, world: int, rank: int) -> None:
        super().__init__(range(n), world, rank, shuffle=False)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.total_size
        return (first + i for i in super().__iter__())
