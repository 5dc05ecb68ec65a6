"""The energy budget of stored snapshots: what the energy does against what its equation says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pdeops.bases.differences import differentiation_matrix
from pdeops.config import from_config
from pdeops.data.file import DataFile
from pdeops.errors import InputError
from pdeops.problems.evolution import Evolution

FEWEST_FRAMES = 5  # a derivative in time from fewer has nothing to say
CHUNK_VALUES = 2**20  # of the snapshots treated at once


@dataclass(frozen=True)
class Budget:
    """Per channel and frame, (C, T), with <f, g> = mean(f g) over space: the energy 1/2 <u, u>, its `rate` of change
    by sixth-order differences of the snapshots, and the parts <u, L u> and <u, N(u)> of u_t = L u + N(u).
    names: of the channels."""

    names: tuple[str, ...]
    energy: Tensor
    rate: Tensor
    linear: Tensor
    nonlinear: Tensor

    @property
    def remainder(self) -> Tensor:
        """What the parts leave unexplained; for exact snapshots dt apart it is O(dt^6)."""
        return self.rate - self.linear - self.nonlinear

    @property
    def imbalance(self) -> Tensor:
        """(C, T): the remainder's size relative to the largest of rate and parts in that frame."""
        return self.remainder.abs() / self.scale.clamp_min(torch.finfo(self.rate.dtype).tiny)

    @property
    def scale(self) -> Tensor:
        """(C, T): the largest of rate and parts, by size."""
        return torch.stack([self.rate, self.linear, self.nonlinear]).abs().amax(0)


def energy_budget(file: DataFile, samples: Sequence[int]) -> Budget:
    """The budget of a file's trajectories, averaged over `samples`; its channels are those of the problem.

    Raises InputError if the file has too few frames, or no problem with an evolution equation that fits its fields.
    """
    problem, time = _equation(file), file.spec.grid.time
    if time is None or time.n < FEWEST_FRAMES:
        frames = time.n if time else 1
        raise InputError(f"a derivative in time wants at least {FEWEST_FRAMES} frames, and there are {frames}")
    terms = torch.stack([_terms(file, problem, i) for i in samples]).mean(0)
    rate = terms[0] @ differentiation_matrix(time.points()).T
    return Budget(problem.out_names, terms[0], rate, terms[1], terms[2])


def _equation(file: DataFile) -> Evolution:
    if file.spec.problem is None:
        raise InputError("the file names no problem")
    problem = from_config(file.spec.problem)
    if not isinstance(problem, Evolution):
        raise InputError(f"{problem.name} is no evolution equation")
    missing = set(problem.in_names) - {x.name for x in file.spec.fields}
    if missing:
        raise InputError(f"the file lacks {', '.join(sorted(missing))}, which {problem.name} needs")
    return problem


def _terms(file: DataFile, problem: Evolution, sample: int) -> Tensor:
    """(3, C, T): 1/2 <u, u>, <u, L u>, <u, N(u)> of one sample, a few frames at a time."""
    grid, channels = file.spec.grid, len(problem.out_names)
    shape = (1, -1, *grid.space.shape)
    first = slice(0, 1)
    a = torch.cat([_read(file, name, sample, first).view(shape) for name in problem.in_names], dim=1)
    step = max(1, CHUNK_VALUES // (channels * a[0, 0].numel()))
    parts = []
    for start in range(0, grid.shape[0], step):
        frames = slice(start, start + step)
        u = torch.stack([_read(file, name, sample, frames) for name in problem.out_names]).unsqueeze(0)
        linear, nonlinear = problem.tendencies(a, u, grid.space)
        products = torch.stack([u * u / 2, u * linear, u * nonlinear])
        parts.append(products.flatten(4).mean(-1).squeeze(1))
    return torch.cat(parts, dim=-1)


def _read(file: DataFile, name: str, sample: int, frames: slice) -> Tensor:
    return torch.from_numpy(file.read_field(name, sample, frames)).double()
