"""Solved trajectories of every evolution problem, and known errors for them."""

from functools import lru_cache

import torch

from pdeops.solvers.steppers import Stepper
from tests.problems.test_contract import PROBLEMS

KNOWN = 2


@lru_cache
def solved(name, *, frames=20, samples=2, **changes):
    """A problem of the contract's list, its inputs, and their trajectories, solved to 1e-10."""
    cls, settings = PROBLEMS[name]
    problem = cls(**settings | {"frames": frames, "solver": Stepper(tolerance=1e-10)} | changes)
    a = problem.sample(range(samples), 0)
    return problem, a, problem.solve(a).u


def sizes(u):
    """Root mean squares (B, C, 1, *ones) of trajectories (B, C, T, *space)."""
    return u.flatten(2).square().mean(2).sqrt()[..., *(None,) * (u.ndim - 2)]


def relative(u, v, known=KNOWN):
    """(B,): the relative L2 error of the predicted frames of u, of the worst channel, v being the truth."""
    gap, size = ((x[:, :, known:]).flatten(2).norm(dim=2) for x in (u - v, v))
    return (gap / size).amax(1)


def wave(problem, u, wavenumber=1):
    """sin(k . x) * (B, C, 1, ...) of the trajectories' size."""
    phase = 2 * torch.pi * wavenumber / problem.length * problem.grid.space.points().sum(-1)
    return sizes(u) * torch.sin(phase)


def since(problem, known=KNOWN):
    """Time since the last known frame over the length of the prediction, (T, *ones), 0 on the known frames."""
    t = torch.arange(problem.frames + 1, dtype=torch.float64) - (known - 1)
    return (t.clamp(min=0) / t[-1]).view(-1, *(1,) * problem.dimensions)


def wrong(problem, u, size, kind):
    """u with a known error, none on the known frames."""
    if kind == "growing":
        return u + size * wave(problem, u) * since(problem)
    if kind == "oscillating":
        return u + size * wave(problem, u, 2) * torch.sin(4 * torch.pi * since(problem))
    return torch.cat([u[:, :, :KNOWN], u[:, :, KNOWN - 1 : KNOWN].expand_as(u[:, :, KNOWN:])], dim=2)  # frozen
