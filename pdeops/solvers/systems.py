"""Batches of linear systems, and what solves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.solvers.volumes import FiniteVolumes, volumes


@dataclass(frozen=True, eq=False)
class Systems:
    """A_i x_i = b_i, one per sample.

    operator: the A_i; b: (B, *unknowns); definite: whether the problem knows every A_i to be positive definite, up to
    constants if `singular`: constants are then in the null space of every A_i and A_i^T, and the mean-free solution is
    wanted (b_i that have a mean have none; solvers take the rest of them, and the residual shows it); constant: whether
    it knows every A_i to be a number times -Laplace_h.
    """

    operator: FiniteVolumes
    b: Tensor
    definite: bool
    singular: bool = False
    constant: bool = False

    def __len__(self) -> int:
        return len(self.b)

    def __getitem__(self, samples: slice | list[int]) -> Systems:
        return replace(self, operator=self.operator[samples], b=self.b[samples])

    def solvable(self) -> Tensor:
        """b in double precision, without its mean if `singular`."""
        b = self.b.to(torch.complex128 if self.b.is_complex() else torch.float64)
        return b - b.flatten(1).mean(1).view(-1, *(1,) * (b.ndim - 1)) if self.singular else b

    def centred(self, x: Tensor) -> Tensor:
        """x, without its mean over the box if `singular`."""
        if not self.singular:
            return x
        weights = volumes(self.operator.grid).to(x.device)
        mean = (x * weights).flatten(1).sum(1) / weights.sum()
        return x - mean.view(-1, *(1,) * (x.ndim - 1))

    def residual(self, x: Tensor) -> Tensor:
        """`relative`, of x."""
        return relative(self.operator, x, self.b)


def relative(operator: FiniteVolumes, x: Tensor, b: Tensor) -> Tensor:
    """|b - A x| / |b| (B,); |b - A x| where b is zero, inf where it is not a number."""
    size, defect = (torch.linalg.vector_norm(r.flatten(1), dim=1) for r in (b, b - operator.apply(x)))
    return (defect / torch.where(size > 0, size, 1.0)).nan_to_num(nan=torch.inf)


class Solves(NamedTuple):
    """x (B, *unknowns), and per sample the true relative residual, the steps that a method took (0: a direct one),
    its products with the operator, and the sentence that says why it stopped."""

    x: Tensor
    residual: Tensor
    iterations: Tensor
    applications: Tensor
    reasons: tuple[str, ...]


Progress = Callable[[float], None]


class LinearSolver(ABC):
    """Solves a batch of systems until |b - A x| <= tolerance |b|. Raises InputError unless 0 < tolerance < 1."""

    tolerance: float

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise InputError(f"problem.solver.tolerance={self.tolerance}: wanted 0 < tolerance < 1")

    @property
    def chooses(self) -> bool:
        """Whether `settled` tries something out."""
        return False

    @property
    def sorts(self) -> bool:
        """Whether it gains from an order of the samples in which neighbours are alike."""
        return False

    def settled(self, pilot: Systems) -> tuple[LinearSolver, str]:
        """This solver with every choice made that depends on samples, and a sentence that says why; here: there is
        none."""
        return self, ""

    def solve(self, systems: Systems, progress: Progress | None = None) -> Solves:
        """Solutions in double precision; samples that miss the tolerance come back as they are, with their residual.

        Raises InputError if the method does not apply to systems of this kind.
        """
        unfit = self.unfit(systems)
        if unfit:
            raise InputError(f"{unfit}. Take the solver auto, direct or gcrodr.")
        # right-hand sides of about one: squares of others may leave the range of numbers
        largest = systems.b.abs().flatten(1).amax(1)
        exponent = torch.frexp(torch.where((largest > 0) & largest.isfinite(), largest, 0.5)).exponent
        size = torch.ldexp(torch.ones_like(largest), exponent).view(-1, *(1,) * (systems.b.ndim - 1))
        solves = self.solve_scaled(replace(systems, b=systems.b / size), progress or (lambda _: None))
        return solves._replace(x=solves.x * size)

    def unfit(self, systems: Systems) -> str | None:
        """Why the method is not for such systems; here: it is for all."""
        return None

    @abstractmethod
    def solve_scaled(self, systems: Systems, progress: Progress) -> Solves:
        """`solve`, for systems that fit, with right-hand sides of about one."""
