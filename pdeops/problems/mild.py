"""The mild residual of an evolution: in units of the solution, where the strong one is in those of u_t."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem
from pdeops.problems.evolution import Evolution
from pdeops.solvers.duhamel import Duhamel
from pdeops.solvers.volterra import Volterra


class _Lattice(NamedTuple):
    basis: Fourier
    linear: Tensor
    damping: Tensor
    integral: Duhamel | Volterra


class MildResidual:
    """e = u - exp(t A) u(0) - int_0^t exp((t - s) A) (N(u) + (L - A) u) ds = (d/dt - A)^-1 (u_t - L u - N(u)), from
    zero, A the damping part of L: L less its largest growth rate, if that is positive. (B, C, T, *space) -> the same.

    No derivative in time is formed. On chebyshev nodes u is a polynomial in time and the integral is exact up to their
    degree; on uniform ones N is the polynomial through the eight snapshots around an interval (`Duhamel`), and the
    first `known` snapshots have e = 0. What is outside of the basis should be zero, and is added as it is. To first
    order, and as long as N and L - A act on no error, e is the error of u: its norm is to an evolution what that in
    H^-2 is to Poisson's equation. In double precision. Raises InputError for a problem that is no evolution,
    and for coefficients that differ between samples.
    """

    def __init__(self, problem: Problem, known: int = 1) -> None:
        if not isinstance(problem, Evolution):
            raise InputError(f"loss.mild=true is for evolution equations, and {problem.name} is none")
        if problem.varying:
            raise InputError(
                f"loss.mild=true tables one equation, and {list(problem.varying)} differ between samples: take one "
                "value each, or loss.mild=false"
            )
        self.problem, self.known = problem, known
        self._lattices: dict[tuple[Grid, torch.device], _Lattice] = {}

    def __call__(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        basis, linear, damping, integral = self._on(a, grid)
        frames = u.double().movedim(2, 0)
        c = self.problem.admissible(basis, basis.to_modes(frames))
        tendency = self.problem.nonlinear(basis, a.double())(c) + (linear - damping) * c
        if isinstance(integral, Volterra):
            t = grid[0].points().to(u.device)
            decay = ((t - t[0]).view(-1, *(1,) * (c.ndim - 1)) * damping).exp()
            e = c - decay * c[:1] - integral(tendency)
        else:
            e = integral(c, tendency)
            e = torch.cat([torch.zeros_like(c[: self.known]), e])
        return (basis.to_values(e - c) + frames).movedim(0, 2)

    def _on(self, a: Tensor, grid: Grid) -> _Lattice:
        key = (grid, a.device)
        if key not in self._lattices:
            with torch.inference_mode(False), torch.no_grad():
                self._lattices[key] = self._tabled(a, grid)
        return self._lattices[key]

    def _tabled(self, a: Tensor, grid: Grid) -> _Lattice:
        d = grid.space.ndim
        basis = self.problem.basis(grid.space, a.device)
        linear = self.problem.linear(basis, a.double())
        linear = linear.reshape((1,) * (1 + d - linear.ndim) + linear.shape)  # (C or 1, *modes)
        growth = linear.real if linear.is_complex() else linear
        damping = linear - growth.amax(tuple(range(-d, 0)), keepdim=True).clamp_min(0)
        damping = damping.expand(*damping.shape[:-d], *torch.broadcast_shapes(damping.shape[-d:], basis.k2.shape))
        t = grid[0].points()
        if grid[0].nodes == "chebyshev":
            return _Lattice(basis, linear, damping, Volterra(damping, t))
        symbol = damping.reshape((1,) * (2 + d - damping.ndim) + damping.shape)
        return _Lattice(basis, linear, damping, Duhamel(symbol, float(t[1] - t[0]), len(t), self.known))
