"""Constant coefficients by transforms."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.solvers.faces import conductances
from pdeops.solvers.systems import Systems
from pdeops.solvers.transforms import Transforms, constants
from pdeops.solvers.volumes import FiniteVolumes, unknowns
from tests.solvers.cases import assert_solves, box, make

GRIDS = {
    "uniform": box((7, 9)),
    "cells": box((6, 5), "cell"),
    "walls": box((6, 7), bc="neumann"),
    "walls of cells": box((6, 7), "cell", "neumann"),
    "mixed": box((6, 7), bc=("dirichlet", "neumann")),
    "torus": Grid.periodic((5, 6)),
    "cube": Grid((Axis("x", 5, 2.0, "uniform", bc="dirichlet"), Axis("y", 4), Axis("z", 5, 0.7, "cell", bc="neumann"))),
}


def systems(grid, c=(1.0, 3.5, 1e-3)):
    k = torch.tensor(c, dtype=torch.float64).view(-1, *(1,) * grid.ndim).expand(-1, *grid.shape)
    faces = conductances(k, grid)
    b = torch.randn(len(c), *unknowns(grid), dtype=torch.float64)
    singular = all(axis.bc in ("neumann", "periodic") for axis in grid)
    if singular:
        b -= b.flatten(1).mean(1).view(-1, *(1,) * grid.ndim)
    return Systems(FiniteVolumes(grid, faces, faces), b, definite=True, singular=singular)


@pytest.mark.parametrize("name", GRIDS)
def test_solutions_are_those_of_dense_matrices(name):
    s = systems(GRIDS[name])
    torch.testing.assert_close(constants(s.operator), torch.tensor([1.0, 3.5, 1e-3], dtype=torch.float64))
    solves = assert_solves(Transforms(1e-11), s, rtol=1e-10)
    assert set(solves.reasons) == {"solved by transforms"}
    assert solves.iterations.tolist() == [0, 0, 0]


def test_a_mean_that_has_no_solution_shows():
    s = systems(GRIDS["walls"])
    solves = Transforms().solve(Systems(s.operator, s.b + 0.5, definite=True, singular=True))
    assert (solves.residual > 0.1).all()
    torch.testing.assert_close(solves.x, Transforms().solve(s).x)


@pytest.mark.parametrize("kind", ["definite", "insulated", "torus", "indefinite", "unsymmetric", "absorbing"])
def test_other_operators_are_refused(kind):
    s = make(kind)
    assert constants(s.operator) is None
    with pytest.raises(InputError, match=r"Poisson's equation with constant coefficients\. Take the solver auto"):
        Transforms().solve(s)


def test_one_face_that_differs_is_seen():
    s = systems(GRIDS["uniform"])
    s.operator.forward[1][2, 3, 1] *= 1 + 1e-9
    assert constants(s.operator) is None
