"""What every PDE offers: inputs, reference solutions, its residual and its constraints."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple, Self

from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid

Progress = Callable[[float], None]


class Solution(NamedTuple):
    """u (n, C_out, *grid); per sample: the residual's norm (`weak_norm` of an evolution, relative l2 of an
    elliptic system), whether the solver's own error estimate is within its tolerance, and that estimate (the relative
    L2 step-halving error of an evolution, the residual of an elliptic system)."""

    u: Tensor
    residual: Tensor
    converged: Tensor
    error: Tensor


class Problem(ABC):
    """A PDE with its inputs, parameters and grid. Every constructor argument is an attribute.

    lifts: whether what `constrain` adds is a smooth function, so that values between nodes are known as well.
    name: also the name of its `problem=` and `data=` configurations.
    in_names, out_names: the channels of the inputs `a` and of the solution `u`.
    """

    name: ClassVar[str]
    out_names: ClassVar[tuple[str, ...]]
    lifts: ClassVar[bool] = False
    remedy: ClassVar[str] = "Raise problem.solver.tolerance if you mean it."  # for a solution that misses it

    @property
    @abstractmethod
    def in_names(self) -> tuple[str, ...]: ...

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """The grid of a whole trajectory, or of a steady field."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, float]:
        """The physical parameters that all samples share, by name (viscosity ...)."""

    @property
    def symmetric(self) -> bool:
        """Whether inputs with their two space axes swapped have the solutions with theirs swapped; here: unknown."""
        return False

    @abstractmethod
    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        """Inputs (n, C_in, *space), float64 on the CPU; sample i depends on (seed, i) alone."""

    def settled(self, indices: Sequence[int], seed: int) -> tuple[Self, str]:
        """This problem with every choice made that depends on samples (a solver that chooses), by some of `indices`,
        and a sentence that says why; here: there is none, and no sentence."""
        return self, ""

    @property
    def chooses(self) -> bool:
        """Whether `settled` tries something out, which may take a while."""
        return False

    def order(self, indices: Sequence[int], seed: int) -> Sequence[int]:
        """`indices` in the order in which samples are best solved; here: as they come."""
        return indices

    @abstractmethod
    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        """Reference solutions of inputs `a`, on a's device; `progress` is told the fraction done."""

    @abstractmethod
    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """The strong residual r (B, n_eq, *grid) of fields u (B, C_out, *grid); differentiable."""

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with its hard initial and boundary conditions imposed; here: u itself."""
        return u

    def stored(self, a: Tensor) -> Tensor:
        """Inputs on the nodes of `grid`, where a data file keeps them; here: they are there already."""
        return a

    def check_solver(self, kind: type, wanted: str) -> None:
        """Raise InputError unless `solver` is of a kind; wanted: the problem's sort, and solvers that are for it."""
        solver = getattr(self, "solver", None)
        if not isinstance(solver, kind):
            raise InputError(f"problem.solver={type(solver).__name__}: {self.name} is {wanted}")

    def cost(self, a: Tensor) -> float:
        """An estimate of the seconds that `solve(a)` takes; here: one sample is solved and timed."""
        start = time.perf_counter()
        self.solve(a[:1])
        return (time.perf_counter() - start) * len(a)
