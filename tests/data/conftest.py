"""A small file of Navier-Stokes trajectories and one of steady fields, made once."""

import numpy as np
import pytest
import torch

from pdeops.data.generate import generate
from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.solvers.steppers import Stepper


@pytest.fixture(scope="session")
def problem():
    return NavierStokes2D(n=8, horizon=1.0, frames=5, solver=Stepper(dt=0.1))


@pytest.fixture(scope="session")
def trajectories(problem, tmp_path_factory):
    torch.set_num_threads(1)  # as in every test, of which others compare their bits with these
    return generate(problem, tmp_path_factory.mktemp("data") / "ns2d.h5", n=10, split=(0.6, 0.2, 0.2), shard=4)


@pytest.fixture(scope="session")
def steady(tmp_path_factory):
    rng = np.random.default_rng(0)
    grid = Grid((Axis("x", 6, nodes="cell", bc="dirichlet"), Axis("y", 5, nodes="uniform")))
    return write_arrays(
        tmp_path_factory.mktemp("data") / "steady.h5",
        grid,
        inputs={"a": rng.standard_normal((20, 6, 5)), "mask": np.ones((6, 5))},
        targets={"u": rng.standard_normal((20, 6, 5)), "p": rng.standard_normal((20, 6, 5))},
    )
