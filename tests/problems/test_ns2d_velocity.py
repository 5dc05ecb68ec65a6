"""Navier-Stokes in velocities: an exact vortex, the vorticity form of the same flow, and what has a divergence."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import Fourier
from pdeops.grid import Axis, Grid
from pdeops.norms import Lp, Sobolev
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.ns2d_velocity import NavierStokes2DVelocity
from pdeops.problems.vorticity import Kolmogorov
from pdeops.solvers.steppers import Stepper

FLOW = {
    "n": 24,
    "horizon": 1.0,
    "frames": 8,
    "viscosity": 1e-3,
    "drag": 0.2,
    "forcing": Kolmogorov(amplitude=0.3, wavenumber=2),
    "initial": PeriodicKernel(width=0.5),
    "solver": Stepper(tolerance=1e-9),
}


def curl_and_divergence(space, u):
    """Of velocities (B, 2, ..., *space)."""
    basis = Fourier(space)
    kx, ky = basis.k
    x, y = basis.to_modes(u).unbind(1)
    return basis.to_values(1j * (kx * y - ky * x)).unsqueeze(1), basis.to_values(1j * (kx * x + ky * y))


def space_time(nx, ny, length=1.0):
    return Grid((Axis("time", 7, 1.2, "uniform"), Axis("x", nx, length), Axis("y", ny, length)))


def velocities(grid, seed=0):
    """Random trajectories of all modes of a lattice, without divergence, around a mean flow."""
    problem, basis = NavierStokes2DVelocity(n=8), Fourier(grid.space)
    u = torch.randn(2, 2, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    c = problem.admissible(basis, basis.to_modes(u.transpose(1, 2)))
    return basis.to_values(c).transpose(1, 2)


@pytest.mark.parametrize("length", [1.0, 2 * pi])
def test_taylor_green_to_ten_digits(length):
    """u = exp(-2 viscosity kappa^2 t) (cos(kappa x) sin(kappa y), -sin(kappa x) cos(kappa y)) is a solution."""
    viscosity, kappa = 1e-3 * length**2, 4 * pi / length
    problem = NavierStokes2DVelocity(n=32, viscosity=viscosity, horizon=5.0, frames=5, length=length, forcing=None)
    x, y = (kappa * c for c in problem.grid.space.points().unbind(-1))
    a = torch.stack([x.cos() * y.sin(), -x.sin() * y.cos()]).unsqueeze(0)
    decay = torch.exp(-2 * viscosity * kappa**2 * problem.grid[0].points()).view(-1, 1, 1)
    exact = decay * a.unsqueeze(2)
    assert (problem.solve(a).u - exact).norm() / exact.norm() < 1e-10


def test_a_mean_flow_carries_the_others_along():
    """Galilean invariance: u(t, x - U t) + U solves the unforced equations when u does."""
    problem = NavierStokes2DVelocity(**FLOW | {"forcing": None, "drag": 0.0, "frames": 2})
    a = problem.sample([0, 1], 0)
    mean = torch.tensor([1.0, -2.0], dtype=torch.float64).view(1, 2, 1, 1)  # half a side in x, and one in y, by t = 1/2
    moved = problem.solve(a + mean).u - mean.unsqueeze(2)
    still = problem.solve(a).u
    for frame, shift in enumerate([0, 12, 0]):
        torch.testing.assert_close(moved[:, :, frame], still[:, :, frame].roll(shift, -2), rtol=0, atol=1e-8)


@pytest.mark.parametrize("varying", [{}, {"viscosity": [1e-3, 1e-2]}, {"resolution": 36}])
def test_its_curl_is_the_vorticity_of_the_same_input(varying):
    velocity, vorticity = (cls(**FLOW | varying) for cls in (NavierStokes2DVelocity, NavierStokes2D))
    a, b = velocity.sample([0, 1], 3), vorticity.sample([0, 1], 3)
    u, w = velocity.solve(a).u, vorticity.solve(b).u
    assert a[:, :2].mean((2, 3)).abs().max() < 1e-15
    curl, divergence = curl_and_divergence(velocity.grid.space, u)
    assert (w[:, :, -1] - w[:, :, 0]).norm() > 0.1 * w[:, :, 0].norm()
    torch.testing.assert_close(curl, w, rtol=0, atol=1e-8 * float(w.abs().max()))
    assert divergence.abs().max() < 1e-12


@pytest.mark.parametrize("n", [(16, 16), (15, 15), (16, 15), (15, 22), (12, 30)])
def test_no_divergence_on_any_lattice(n):
    """Neither of the projection nor of the nonlinearity, of any velocities."""
    space = Grid((Axis("x", n[0], 1.0), Axis("y", n[1], 2.0)))
    problem, basis = NavierStokes2DVelocity(n=8), Fourier(space)
    c = basis.to_modes(torch.randn(3, 2, *n, dtype=torch.float64))
    for state in (problem.admissible(basis, c), problem.nonlinear(basis, c)(c)):
        u = basis.to_values(state)
        assert curl_and_divergence(space, u)[1].abs().max() < 1e-12 * curl_and_divergence(space, u)[0].abs().max()


def test_the_projection_is_orthogonal_and_keeps_what_has_no_divergence():
    space = Grid.periodic((16, 18))
    problem, basis = NavierStokes2DVelocity(n=8), Fourier(space)
    c = basis.to_modes(torch.randn(1, 2, 16, 18, dtype=torch.float64))
    once = problem.admissible(basis, c)
    torch.testing.assert_close(problem.admissible(basis, once), once, rtol=0, atol=1e-15)
    kept, gone = basis.to_values(once), basis.to_values(c - once)
    assert abs(float((kept * gone).mean())) < 1e-16
    assert gone.norm() > 0.1 * kept.norm()
    assert curl_and_divergence(space, gone)[0].abs().max() < 1e-11
    torch.testing.assert_close(kept.mean((2, 3)), basis.to_values(c).mean((2, 3)))


@pytest.mark.parametrize("n", [(16, 16), (15, 15), (14, 21)])
def test_residuals_of_both_forms_agree(n):
    """curl r(u) = r(curl u), so ||r(u)||_{L2} = ||r(curl u)||_{H^-1} without the mean, and |k| |r_k| = |(curl r)_k|."""
    settings = {"n": 8, "viscosity": 2e-3, "drag": 0.3}
    velocity, vorticity = NavierStokes2DVelocity(**settings), NavierStokes2D(**settings)
    grid = space_time(*n)
    u = velocities(grid)
    u = u - u.mean((3, 4), keepdim=True)  # of a mean flow, the vorticity does not know
    w = curl_and_divergence(grid.space, u)[0]
    of_u, of_w = velocity.residual(u[:, :, 0], u, grid), vorticity.residual(w[:, :, 0], w, grid)
    curl, divergence = curl_and_divergence(grid.space, of_u)
    torch.testing.assert_close(curl, of_w)
    assert divergence.abs().max() < 1e-12 * curl.abs().max()
    basis = Fourier(grid.space)
    lengths = basis.to_modes(of_u).abs().square().sum(1, keepdim=True).sqrt()
    torch.testing.assert_close(basis.k2.sqrt() * lengths, basis.to_modes(of_w).abs())
    torch.testing.assert_close(Lp(grid)(of_u).norm(dim=1), Sobolev(grid, -1, 1e-12)(of_w)[:, 0])


@pytest.mark.parametrize("rate", [0.0, 1.0, 5.0])
def test_a_gradient_has_a_residual_of_its_size_over_the_snapshots_distance(rate):
    """grad q exp(-rate t): unforced it obeys the heat equation with rate = viscosity |k|^2, and has to be seen."""
    grid = space_time(16, 16)
    problem = NavierStokes2DVelocity(n=16, viscosity=1.0 / (8 * pi**2), forcing=None)  # rate 1 is the heat equation's
    t, x, y = grid.points().unbind(-1)
    gradient = torch.stack([torch.cos(2 * pi * (x + y))] * 2).unsqueeze(0) * torch.exp(-rate * t)
    torch.testing.assert_close(problem.residual(gradient[:, :, 0], gradient, grid), gradient / 0.2)
    # added to a flow, too
    u = velocities(grid)[:1]
    both = problem.residual(u[:, :, 0], u + gradient, grid)
    torch.testing.assert_close(both, problem.residual(u[:, :, 0], u, grid) + gradient / 0.2)


def test_a_divergence_in_the_input_is_left_out():
    problem = NavierStokes2DVelocity(**FLOW | {"frames": 1})
    a = problem.sample([0], 0)
    x, y = problem.grid.space.points().unbind(-1)
    gradient = 0.01 * torch.stack([torch.sin(2 * pi * x), torch.cos(4 * pi * y)]).unsqueeze(0)
    torch.testing.assert_close(problem.solve(a + gradient).u, problem.solve(a).u, rtol=0, atol=1e-12)
