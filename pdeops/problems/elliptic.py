"""Steady linear PDEs: one sparse system per sample."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf, prod
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_avg_pool3d

from pdeops.errors import InputError
from pdeops.grid import Axis, Boundary, Grid, Nodes, axis_names
from pdeops.problems.base import Problem, Progress, Solution
from pdeops.solvers import sorting
from pdeops.solvers.auto import Auto
from pdeops.solvers.direct import Direct
from pdeops.solvers.systems import LinearSolver, Systems
from pdeops.solvers.volumes import inner, placed, unknowns, volumes

log = logging.getLogger(__name__)

PILOT = 6  # samples by which a solver is chosen ...
NEIGHBOURS = 64  # ... neighbours among so many, if it sorts them
BATCH = 64  # samples drawn at once to be sorted
BLOCKS = 12  # per axis, of an input's averages by which samples are compared
CHUNK = 2**22  # unknowns whose systems are held at once


@lru_cache  # once, not for every batch
def _warn_of_coarsening(name: str, n: int, resolution: int) -> None:
    log.warning(
        "%s: the residual on %d nodes of solutions on %d does not vanish; it does on all of these, "
        "which problem.resolution=null stores",
        *(name, n, resolution),
    )


@dataclass(kw_only=True, eq=False)
class Elliptic(Problem):
    """A steady linear PDE on a box, discretised by finite volumes.

    n: nodes per side of what is stored; resolution: of the nodes it is solved on (None: n), among which the stored ones
    are; length: of every side; nodes: uniform (with both ends), cell, or periodic; solver: of the systems.
    Raises InputError on sizes out of range, and on a resolution whose nodes do not contain the stored ones.
    """

    dimensions: ClassVar[int] = 2
    kinds: ClassVar[tuple[Nodes, ...]] = ("uniform", "cell")  # of nodes

    n: int = 129
    length: float = 1.0
    nodes: Nodes = "uniform"
    resolution: int | None = None
    solver: LinearSolver = field(default_factory=Auto)

    def __post_init__(self) -> None:
        if self.nodes not in self.kinds:
            raise InputError(f"problem.nodes={self.nodes!r}: {self.name} is solved on one of {self.kinds}")
        if self.n < 4 or not 0 < self.length < inf:
            raise InputError(f"problem.n={self.n}, problem.length={self.length}: wanted n >= 4 and length > 0")
        self.check_solver(LinearSolver, "steady, and wants a solver of linear systems: auto, direct, multigrid ...")
        self._factor  # noqa: B018  # raises on a resolution that does not fit

    @property
    def _finest(self) -> int:
        return self.n if self.resolution is None else self.resolution

    @property
    def _factor(self) -> int:
        """The stored nodes are every so many of those it is solved on."""
        ends = 1 if self.nodes == "uniform" else 0
        factor, rest = divmod(self._finest - ends, self.n - ends)
        if rest or factor < 1 or factor not in self.solved_on[0].strides:
            wanted = f"m ({self.n} - 1) + 1" if ends else f"m {self.n}"
            kind = "an odd" if self.nodes == "cell" else "a"
            raise InputError(
                f"problem.resolution={self.resolution}: wanted {wanted} with {kind} whole number m, so that "
                f"the {self.n} stored {self.nodes} nodes are among them"
            )
        return factor

    def boundary_types(self) -> tuple[Boundary, ...]:
        """Of each axis."""
        return ("periodic" if self.nodes == "periodic" else "dirichlet",) * self.dimensions

    def _lattice(self, n: int) -> Grid:
        names = axis_names(self.dimensions)
        return Grid(
            Axis(x, n, self.length, self.nodes, bc=bc) for x, bc in zip(names, self.boundary_types(), strict=True)
        )

    @property
    def grid(self) -> Grid:
        return self._lattice(self.n)

    @property
    def solved_on(self) -> Grid:
        """The nodes of inputs and of the solver."""
        return self._lattice(self._finest)

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    @abstractmethod
    def systems(self, a: Tensor, grid: Grid) -> Systems:
        """The systems of inputs a (B, C_in, *grid), integrated over the volumes around the unknowns relative to a
        cell's."""

    def boundary(self, a: Tensor, grid: Grid) -> Tensor | float:
        """The values of u at nodes that are no unknowns, broadcastable to u (B, C_out, *grid)."""
        return 0.0

    def unknowns(self, u: Tensor, grid: Grid) -> Tensor:
        """The unknowns (B, *unknowns) of fields u (B, C_out, *grid)."""
        return inner(u[:, 0], grid)

    def channels(self, x: Tensor) -> Tensor:
        """Unknowns x (B, *unknowns) as channels (B, C_out, *unknowns)."""
        return x.unsqueeze(1)

    @property
    def chooses(self) -> bool:
        return self.solver.chooses

    def settled(self, indices: Sequence[int], seed: int) -> tuple[Self, str]:
        indices = indices[: NEIGHBOURS if self.solver.sorts else PILOT]
        pilot = self.sample(list(self.order(indices, seed))[:PILOT], seed)
        solver, reason = self.solver.settled(self.systems(pilot, self.solved_on))
        return replace(self, solver=solver), reason

    def order(self, indices: Sequence[int], seed: int) -> Sequence[int]:
        """For a solver that gains by it, a chain of samples that are alike in their inputs: averages over blocks, the
        logarithms of positive ones, each channel by its deviation."""
        if not self.solver.sorts:
            return indices
        parts = [_coarse(self.sample(indices[i : i + BATCH], seed)) for i in range(0, len(indices), BATCH)]
        channels = [c.log() if (c > 0).all() else c for c in torch.cat(parts).flatten(2).unbind(1)]
        varying = [c for c in channels if c.std() > 1e-9 * c.abs().max()] or channels[:1]
        features = [(c - c.mean()) / (c.std() or 1.0) for c in varying]
        return [indices[i] for i in sorting.divided(torch.cat(features, dim=1).numpy())]

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        """Solutions in double precision; what misses the solver's tolerance is solved once more, directly.

        Raises InputError on inputs that are not on `solved_on`."""
        grid, a = self.solved_on, a.detach().double()
        self._check(a, grid)
        if not len(a):
            raise InputError(f"{self.name}: no inputs to solve; wanted at least one sample")
        chunk = max(1, CHUNK // prod(grid.shape))
        solver = self.solver
        if solver.chooses:
            solver, _ = solver.settled(self.systems(a[:PILOT], grid))
        xs, residuals = [], []
        for first in range(0, len(a), chunk):
            systems = self.systems(a[first : first + chunk], grid)

            def part(fraction: float, first: int = first, size: int = len(systems)) -> None:
                if progress:
                    progress((first + fraction * size) / len(a))

            x, residual, *_, reasons = solver.solve(systems, part)
            missed = (~(residual <= solver.tolerance)).nonzero().flatten().tolist()
            if missed and type(solver) is not Direct:
                log.warning(
                    "%s: %d of %d samples missed the tolerance (%s) and are solved directly",
                    *(self.name, len(missed), len(x), reasons[missed[0]]),
                )
                again = Direct(tolerance=solver.tolerance).solve(systems[missed])
                x[missed], residual[missed] = again.x, again.residual
            xs.append(x)
            residuals.append(residual)
        residual = torch.cat(residuals)
        u = self._stored(placed(self.channels(torch.cat(xs)), grid, self.boundary(a, grid)))
        return Solution(u, residual, residual <= solver.tolerance, residual)

    def cost(self, a: Tensor) -> float:
        """An estimate of the seconds that `solve(a)` takes: a few samples are timed, once everything is loaded."""
        some = a[:4]
        self.solve(some)
        start = time.perf_counter()
        self.solve(some)
        return (time.perf_counter() - start) / len(some) * len(a)

    def _check(self, a: Tensor, grid: Grid) -> None:
        wanted = (len(self.in_names), *grid.shape)
        if tuple(a.shape[1:]) != wanted:
            raise InputError(
                f"{self.name}: inputs of shape {tuple(a.shape)}; wanted (B, {', '.join(map(str, wanted))})"
            )

    def stored(self, a: Tensor) -> Tensor:
        return self._stored(a) if a.shape[2:] == self.solved_on.shape else a

    def _stored(self, u: Tensor) -> Tensor:
        return u[self.solved_on.every(self._factor)]

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with the values that are given at nodes of the boundary."""
        if unknowns(grid) == grid.shape:
            return u
        values = self.boundary(a, grid)
        return placed(inner(u, grid), grid, values.to(u) if isinstance(values, Tensor) else values)

    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """The balance of every volume, per volume: b - A u; at nodes that are no unknowns, the boundary value less u.

        It vanishes at solutions on as many nodes; those on finer ones leave the discretisation error of the grid's.
        Raises InputError on a grid that is not the problem's, but for the number of nodes, and on inputs that are not
        on it."""
        if grid != self.grid.resized(grid.shape):
            raise InputError(f"{self.name}: the residual is formed on {self.grid}; got a field on {grid}")
        self._check(a, grid)
        if grid != self.solved_on:
            _warn_of_coarsening(self.name, grid[0].n, self._finest)
        systems = self.systems(a.to(u.dtype), grid)
        balance = systems.b - systems.operator.apply(self.unknowns(u, grid))
        return placed(self.channels(balance / volumes(grid).to(balance)), grid, self.boundary(a, grid) - u)


def _coarse(a: Tensor) -> Tensor:
    """Averages of fields (B, C, *grid) over blocks."""
    shape = tuple(min(BLOCKS, n) for n in a.shape[2:])
    return (adaptive_avg_pool2d if a.ndim == 4 else adaptive_avg_pool3d)(a, shape)  # type: ignore[arg-type]
