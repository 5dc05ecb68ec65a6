"""Multigrid: the compiled passes against torch's, against direct solutions, and by the number of steps."""

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import spsolve

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.solvers import multigrid
from pdeops.solvers.coarsening import coarsening
from pdeops.solvers.faces import conductances
from pdeops.solvers.multigrid import Multigrid
from pdeops.solvers.systems import Systems
from pdeops.solvers.vcycle import VCycle
from pdeops.solvers.volumes import FiniteVolumes, unknowns

pytest.importorskip("numba")


def box(shape, nodes="uniform", bc=("dirichlet",) * 3):
    """Of equal spacings."""
    cells = [n - (nodes == "uniform") for n in shape]
    lengths = [m / cells[0] for m in cells]
    return Grid(Axis(c, n, x, nodes, bc=b) for c, n, x, b in zip("xyz", shape, lengths, bc, strict=False))


def systems(grid, batch=3, roughness=0.5, reaction=False, seed=0):
    """-div(k grad u) + c u, log k a few random cosines."""
    rng = np.random.default_rng(seed)
    x = grid.points()
    amplitudes = torch.from_numpy(roughness * rng.standard_normal((batch, 4, *(1,) * grid.ndim)))
    k = torch.exp(sum(amplitudes[:, j] * torch.cos(torch.pi * (j + 1) * x[..., j % grid.ndim]) for j in range(4)))
    faces, shape = conductances(k, grid), unknowns(grid)
    c = torch.from_numpy(rng.uniform(0, 1e3, (batch, *shape))) if reaction else None
    b = torch.from_numpy(rng.standard_normal((batch, *shape)))
    singular = not reaction and all(axis.bc == "neumann" for axis in grid)
    if singular:
        b -= b.flatten(1).mean(1).view(-1, *(1,) * grid.ndim)
    return Systems(FiniteVolumes(grid, faces, faces, c), b, definite=True, singular=singular)


GRIDS = {
    "odd": box((17, 17)),
    "even": box((18, 26)),
    "cells": box((15, 20), "cell"),
    "mixed": box((16, 21), "cell", ("dirichlet", "neumann")),
    "nodes with a wall": box((16, 21), "uniform", ("neumann", "dirichlet")),
    "insulated": box((16, 13), "cell", ("neumann", "neumann")),
    "long": box((9, 70)),
    "cube": box((11, 9, 12)),
    "cube of cells": box((8, 9, 6), "cell", ("dirichlet", "neumann", "dirichlet")),
}


@pytest.mark.parametrize("name", GRIDS)
def test_solutions_are_those_of_a_direct_solver(name):
    s = systems(GRIDS[name])
    solves = Multigrid(tolerance=1e-10).solve(s)
    assert (solves.residual <= 1e-10).all()
    assert set(solves.reasons) == {"converged"}
    assert solves.iterations.max() <= 16
    assert (solves.applications >= solves.iterations + 1).all()
    for i in range(len(s)):
        if s.singular:  # fix one unknown, then compare without means
            x, b = np.zeros(s.operator.size), s.solvable()[i].flatten().numpy()
            x[1:] = spsolve(s.operator.matrix(i)[1:, 1:].tocsc(), b[1:])
            x -= x.mean()
        else:
            x = spsolve(s.operator.matrix(i).tocsc(), s.b[i].flatten().numpy())
        np.testing.assert_allclose(solves.x[i].flatten(), x, atol=1e-7 * abs(x).max())


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("reaction", [False, True])
def test_both_implementations_are_the_same_cycle(name, reaction, monkeypatch):
    s = systems(GRIDS[name], batch=5, reaction=reaction)
    compiled = Multigrid().solve(s)
    monkeypatch.setattr(multigrid, "_workspace", lambda: None)
    torch_ = Multigrid().solve(s)
    # the compiled one computes residuals in single precision now and then
    assert (compiled.iterations - torch_.iterations).abs().max() <= 1
    torch.testing.assert_close(compiled.x, torch_.x, rtol=0, atol=1e-7 * float(torch_.x.abs().max()))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_solution_does_not_depend_on_its_batch(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(multigrid, "_workspace", lambda: None)
    s = systems(GRIDS["odd"], batch=7)
    whole = Multigrid().solve(s).x
    for some in ([2], [6, 2, 0], [5, 4, 2, 1, 0]):
        part = Multigrid().solve(s[some]).x
        assert torch.equal(part, whole[some])


def test_steps_do_not_grow_with_the_lattice():
    steps = [int(Multigrid().solve(systems(box((n, n)), batch=2)).iterations.max()) for n in (33, 65, 130, 257)]
    assert max(steps) <= 10
    assert steps[-1] <= steps[0] + 2


def test_threads_change_nothing():
    s = systems(GRIDS["even"], batch=9)
    alone = Multigrid().solve(s).x
    torch.set_num_threads(2)
    assert torch.equal(Multigrid().solve(s).x, alone)


def test_jumps_by_a_factor_of_a_thousand():
    grid = box((65, 65))
    rng = np.random.default_rng(0)
    k = np.where(rng.uniform(size=(9, 9)).repeat(8, 0).repeat(8, 1)[:65, :65] < 0.5, 1.0, 1000.0)
    faces = conductances(torch.from_numpy(k)[None], grid)
    b = torch.ones(1, *unknowns(grid), dtype=torch.float64)
    solves = Multigrid().solve(Systems(FiniteVolumes(grid, faces, faces), b, definite=True))
    assert solves.residual <= 1e-8
    assert solves.iterations < 200


def test_the_cycle_is_symmetric_and_positive():
    for name in ("even", "mixed", "cube of cells"):
        operator = systems(GRIDS[name], batch=1).operator
        cycle, n = VCycle(operator), operator.size
        matrix = torch.cat([cycle(e.view(1, *operator.shape)).view(1, -1) for e in torch.eye(n)])
        assert (matrix - matrix.T).abs().max() < 1e-5 * matrix.abs().max()
        assert torch.linalg.eigvalsh((matrix + matrix.T).double() / 2).min() > 0


def test_interpolation_is_linear_up_to_the_boundary():
    for nodes, bc in (("uniform", "dirichlet"), ("cell", "dirichlet"), ("cell", "neumann")):
        for n in (9, 10, 11, 12):
            axis = Axis("x", n, nodes=nodes, bc=bc)
            grid = Grid((axis, Axis("y", n, nodes=nodes, bc=bc)))
            x = axis.points()[1:-1] if nodes == "uniform" else axis.points()
            w = torch.from_numpy(coarsening(grid).weights[0][0]).double()
            # linear functions that vanish at the lower end, or constants beside a wall
            value = torch.ones_like(x) if bc == "neumann" else x
            low = torch.cat([torch.zeros(1, dtype=x.dtype), value[1::2], torch.zeros(1, dtype=x.dtype)])
            even = value[0::2]
            m = len(even)
            got = w[0 : len(x) : 2, 0] * low[:m] + w[0 : len(x) : 2, 1] * torch.cat([low[1:], low[-1:]])[:m]
            exact = even[:-1] if len(x) % 2 and bc == "dirichlet" else even  # the last one sees the other boundary
            torch.testing.assert_close(got[: len(exact)], exact)


def test_a_vanishing_right_hand_side():
    s = systems(GRIDS["odd"])
    s.b[1] = 0
    solves = Multigrid().solve(s)
    assert not solves.x[1].any()
    assert solves.residual[1] == 0
    assert solves.iterations[1] == 0


def test_what_multigrid_is_not_for():
    s = systems(GRIDS["odd"])
    with pytest.raises(InputError, match="symmetric positive definite"):
        Multigrid().solve(Systems(s.operator, s.b, definite=False))
    torus = Grid.periodic((8, 8))
    faces = tuple(torch.ones(1, *((9, 8), (8, 9))[d], dtype=torch.float64) for d in range(2))
    with pytest.raises(InputError, match="not periodic"):
        Multigrid().solve(Systems(FiniteVolumes(torus, faces, faces), torch.zeros(1, 8, 8), definite=True))


def test_an_indefinite_operator_is_noticed(monkeypatch):
    s = systems(GRIDS["odd"], reaction=True)
    bad = Systems(
        FiniteVolumes(s.operator.grid, s.operator.forward, s.operator.forward, s.operator.reaction - 1e6),
        s.b,
        definite=True,
    )
    for lanes in (multigrid._workspace(), None):
        monkeypatch.setattr(multigrid, "_workspace", lambda lanes=lanes: lanes)
        solves = Multigrid().solve(bad)
        assert not (solves.residual <= 1e-8).any()
        assert "not positive definite" in solves.reasons[0]
