"""Small batches of systems of every kind, and their dense solutions."""

import numpy as np
import torch

from pdeops.grid import Axis, Grid
from pdeops.solvers.faces import conductances, exchange
from pdeops.solvers.systems import Systems
from pdeops.solvers.volumes import FiniteVolumes, unknowns, volumes


def box(shape, nodes="uniform", bc="dirichlet"):
    bcs = (bc,) * len(shape) if isinstance(bc, str) else bc
    return Grid(Axis(c, n, nodes=nodes, bc=b) for c, n, b in zip("xyz", shape, bcs, strict=False))


def smooth(grid, batch, size, seed=0):
    """exp of random cosines."""
    rng, x = np.random.default_rng(seed), grid.points()
    amplitudes = torch.from_numpy(size * rng.standard_normal((batch, 3, *(1,) * grid.ndim)))
    return torch.exp(sum(amplitudes[:, j] * torch.cos(torch.pi * (j + 1) * x[..., j % grid.ndim]) for j in range(3)))


def make(kind, n=9, batch=4, size=0.4, k0=9.0, grid=None):
    """Systems of a kind: definite, constant, insulated, indefinite, unsymmetric, absorbing or torus."""
    bc = "neumann" if kind in ("insulated", "absorbing") else "dirichlet"
    grid = grid or (Grid.periodic((n, n + 1)) if kind == "torus" else box((n, n + 2), bc=bc))
    shape, weights = unknowns(grid), volumes(grid)
    k = torch.ones(batch, *grid.shape, dtype=torch.float64) if kind == "constant" else smooth(grid, batch, size)
    forward = backward = conductances(k, grid)
    b = torch.from_numpy(np.random.default_rng(1).standard_normal((batch, *shape)))
    reaction = None
    if kind == "insulated":
        b -= b.flatten(1).mean(1).view(-1, 1, 1)
    elif kind == "indefinite":
        reaction = -(k0**2) * smooth(grid, batch, 0.1 * size, seed=2)[:, 1:-1, 1:-1]
        forward = backward = conductances(torch.ones_like(k), grid)
    elif kind == "absorbing":
        inside = (-(k0**2) * weights).expand(batch, *shape)
        reaction, b = torch.complex(inside, -5 * torch.ones_like(inside)), torch.complex(b, b.flip(1))
    elif kind == "torus":
        reaction = torch.ones(batch, *shape, dtype=torch.float64)
    elif kind == "unsymmetric":
        pairs = [exchange(f, torch.full_like(f, 0.7 * (-1) ** d), "exponential") for d, f in enumerate(forward)]
        forward, backward = (tuple(x) for x in zip(*pairs, strict=True))
    definite = kind in ("definite", "constant", "insulated", "torus")
    operator = FiniteVolumes(grid, forward, backward, reaction)
    return Systems(operator, b, definite, singular=kind == "insulated", constant=kind == "constant")


def dense(systems):
    """Solutions by dense matrices; without a mean where constants are a null space."""
    out = []
    for i in range(len(systems)):
        A, b = systems.operator.matrix(i).toarray(), systems.solvable()[i].flatten().numpy()
        out.append(np.linalg.lstsq(A, b)[0] if systems.singular else np.linalg.solve(A, b))
    return systems.centred(torch.from_numpy(np.stack(out)).view(systems.b.shape))


def assert_solves(solver, systems, rtol=1e-6):
    """What every solver promises of systems that it solves."""
    seen, before = [], [systems.b.clone(), *(f.clone() for f in systems.operator.forward)]
    solves = solver.solve(systems, seen.append)
    exact = dense(systems)
    torch.testing.assert_close(solves.x, exact, rtol=0, atol=rtol * float(exact.abs().max()))
    assert solves.x.dtype == exact.dtype
    assert (solves.residual <= solver.tolerance).all()
    # the true one, of the systems as they were given
    after = systems.residual(solves.x)
    torch.testing.assert_close(solves.residual, after, rtol=0.1, atol=1e-12)
    assert len(solves.reasons) == len(systems) == len(solves.iterations) == len(solves.applications)
    assert (solves.applications >= torch.maximum(solves.iterations, torch.ones(()))).all()
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert all(torch.equal(x, y) for x, y in zip(before, [systems.b, *systems.operator.forward], strict=True))
    return solves
