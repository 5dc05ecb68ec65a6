"""What a residual says of fields whose error is known: snapshots 0.2 apart, viscosity 1e-3, 64 x 64 nodes.

A residual that vanishes on every field, as one formed by a step of the solver on the prediction itself, fails here.
"""

import pytest
import torch

from pdeops.bases.fourier import Fourier
from pdeops.norms import Lp, Sobolev, relative_error
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.ns2d_velocity import NavierStokes2DVelocity
from pdeops.problems.vorticity import biot_savart
from pdeops.solvers.steppers import Stepper

# past the decay of the rough initial state, whose modes 0.2 does not resolve
WINDOW = {"n": 64, "viscosity": 1e-3, "start": 10.0, "horizon": 18.0, "frames": 40, "solver": Stepper(tolerance=1e-9)}


@pytest.fixture(scope="module")
def vorticities():
    """A solution, and one of another sample as a smooth field that is none."""
    problem = NavierStokes2D(**WINDOW)
    return problem.solve(problem.sample([0, 1], 0)).u


@pytest.fixture(params=["vorticity", "velocity"])
def form(request, vorticities):
    """The problem, the exact snapshots, the direction of an error, and the norm: that of H^-1 for vorticities, of L2
    for velocities."""
    if request.param == "vorticity":
        problem = NavierStokes2D(**WINDOW)
        return problem, vorticities[:1], vorticities[1:], Sobolev(problem.grid, -1)
    problem = NavierStokes2DVelocity(**WINDOW)
    basis = Fourier(problem.grid.space)
    u = basis.to_values(biot_savart(basis)[:, None] * basis.to_modes(vorticities))
    return problem, u[:1], u[1:], Lp(problem.grid)


def test_the_residual_is_none_of_the_solution_and_one_of_all_else(form):
    problem, exact, other, norm = form
    size = Lp(problem.grid)
    t = (problem.grid[0].points() - problem.start).view(-1, 1, 1) / 8
    drift = t * other
    drift = drift * (size(exact).norm() / size(drift).norm())
    random = torch.randn(exact.shape, dtype=exact.dtype)

    def residual(u):
        return float(norm(problem.residual(exact[:, :, 0], u, problem.grid)).norm())

    floor, one, ten = (residual(exact + part * drift) for part in (0.0, 0.01, 0.1))
    assert floor < 1e-9
    assert one > 1e5 * floor
    assert ten / one == pytest.approx(10, rel=0.05)
    frozen = exact[:, :, :1].expand_as(exact)
    assert relative_error(frozen, exact, size).min() > 0.1
    assert residual(frozen) > 1e-3
    assert residual(random * (size(exact).norm() / size(random).norm())) > residual(frozen)
