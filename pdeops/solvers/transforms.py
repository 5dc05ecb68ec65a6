"""Systems of constant coefficients, solved by sine, cosine and Fourier transforms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeops.solvers.faces import conductances
from pdeops.solvers.poisson import FastPoisson
from pdeops.solvers.systems import LinearSolver, Progress, Solves, Systems
from pdeops.solvers.volumes import FiniteVolumes, volumes


@dataclass(frozen=True)
class Transforms(LinearSolver):
    """-c Laplace_h u = f, c a constant of each sample, exactly. Raises InputError on other operators."""

    tolerance: float = 1e-8

    def unfit(self, systems: Systems) -> str | None:
        if constants(systems.operator) is None:
            return "transforms are for Poisson's equation with constant coefficients"
        return None

    def solve_scaled(self, systems: Systems, progress: Progress) -> Solves:
        c = constants(systems.operator)
        assert c is not None
        weights = volumes(systems.operator.grid).to(systems.b.device)
        poisson = FastPoisson(systems.operator.grid)
        x, _ = poisson.least_squares(systems.solvable() / (weights * c.view(-1, *(1,) * weights.ndim)))
        progress(1.0)
        one = torch.ones(len(x), dtype=torch.int64)
        return Solves(x, systems.residual(x), 0 * one, one, ("solved by transforms",) * len(x))


def constants(operator: FiniteVolumes) -> Tensor | None:
    """The c (B,) of operators that are -c Laplace_h to round-off; None of others."""
    if operator.reaction is not None or not operator.symmetric or operator.forward[0].is_complex():
        return None
    like = operator.forward[0]
    unit = conductances(torch.ones(1, *operator.grid.shape, dtype=like.dtype, device=like.device), operator.grid)
    c = (like * unit[0]).flatten(1).sum(1) / unit[0].square().sum()
    for faces, u in zip(operator.forward, unit, strict=True):
        wanted = c.view(-1, *(1,) * (u.ndim - 1)) * u
        if not torch.allclose(faces, wanted, rtol=1e-12, atol=0.0):
            return None
    return c
