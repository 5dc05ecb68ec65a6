"""The error of a predicted trajectory as its own equation sees it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.problems.evolution import Evolution
from pdeops.solvers.duhamel import Duhamel
from pdeops.solvers.steppers import floored


class Mild:
    """E(u) of trajectories u = (known, predicted) of an evolution: its mild residual, accumulated (`Duhamel`).

    E(u) = u - G(u), G(u) the solution of w_t = L w + N(u) from the known snapshots on. It vanishes at solutions of the
    equation on the lattice, has the units of u, and its derivative I - G'(u) is a perturbation of the identity: the
    preconditioned residual (d/dt - L)^-1 (u_t - L u - N(u)), without a derivative in time.

    a: the problem's inputs (B, C_in, *space), of which coefficients are read; grid: of the frames, with time.
    Fields are in coefficients (T, B, C, *spectrum), time first, in double precision.
    Raises InputError for a problem that does not evolve.
    """

    def __init__(self, problem: Problem | None, a: Tensor, grid: Grid, known: int, nodes: int = 8) -> None:
        self.evolution = evolution = evolving(problem)
        if grid.time is None:
            raise InputError(f"{evolution.name}: frames need a time axis; got {grid}")
        self.grid, self.known, self.nodes = grid, known, nodes
        self.basis = evolution.basis(grid.space, a.device)
        self.tendency = evolution.nonlinear(self.basis, a.double())
        symbol = evolution.linear(self.basis, a.double())
        self.symbol = symbol.reshape((1,) * (2 + grid.space.ndim - symbol.ndim) + tuple(symbol.shape))
        self.step = float(grid.time.points()[1] - grid.time.points()[0])
        self.duhamel = self.formula(nodes)

    def formula(self, nodes: int) -> Duhamel:
        assert self.grid.time is not None
        return Duhamel(self.symbol, self.step, self.grid.time.n, self.known, nodes)

    def coefficients(self, u: Tensor) -> Tensor:
        """(B, C, T, *space) -> (T, B, C, *spectrum)"""
        return self.evolution.admissible(self.basis, self.basis.to_modes(u.double().movedim(2, 0)))

    def values(self, c: Tensor) -> Tensor:
        """(T, B, C, *spectrum) -> (B, C, T, *space)"""
        return self.basis.to_values(c).movedim(0, 2)

    def __call__(self, c: Tensor) -> Tensor:
        """E of whole trajectories (T, ...), at the snapshots that are not known."""
        return self.duhamel(c, self.tendency(c))

    def linearised(self, c: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """E(c), and v -> E'(c) v for changes v (T - known, ...) of the predicted snapshots."""
        head = torch.zeros_like(c[: self.known])

        def derivative(v: Tensor) -> Tensor:
            whole = torch.cat([head, v])
            change = torch.func.jvp(self.tendency, (c,), (whole,))[1]
            return self.duhamel(whole, change)

        return self(c), derivative

    def relative(self, e: Tensor, c: Tensor) -> Tensor:
        """(B,): the L2 norm in time and space of errors e at the predicted snapshots of c over that of c - e, which is
        nearer to the truth than c; of the worst channel."""
        return (self._norm(e) / floored(self._norm(c[self.known :] - e))).amax(1)

    def scale(self, c: Tensor) -> Tensor:
        """Factors by which coefficients become vectors whose Euclidean norm is the relative L2 norm of `relative`."""
        return (
            self.basis.multiplicity.sqrt() / floored(self._norm(c[self.known :]))[..., *(None,) * self.grid.space.ndim]
        )

    def _norm(self, c: Tensor) -> Tensor:
        """(T, B, C, *spectrum) -> (B, C), by Parseval."""
        power = self.basis.multiplicity * (c.real.square() + c.imag.square())
        return power.sum(dim=(0, *range(3, c.ndim))).sqrt()


def evolving(problem: Problem | None) -> Evolution:
    """The problem, if it is one that error estimates and refinement know. Raises InputError otherwise."""
    if not isinstance(problem, Evolution) or not all(axis.periodic for axis in problem.grid.space):
        kind = "problem=null" if problem is None else f"{problem.name} is not an evolution on a torus"
        raise InputError(f"error estimates and refinement follow from an evolution equation, and {kind}")
    return problem
