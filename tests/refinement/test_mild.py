"""The accumulated mild residual is what its formula says, and so is its derivative."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Lp
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.pendulum import Pendulum
from pdeops.problems.poisson import Poisson
from pdeops.problems.shallow_water import ShallowWater
from pdeops.refinement.mild import Mild, evolving
from tests.problems.test_contract import PROBLEMS
from tests.refinement.cases import KNOWN, relative, since, solved, wave, wrong

# two samples that differ in the symbol (real, complex) or in N; three channels; an odd and an even number of nodes
RANGES = {
    "advection1d": {"speed": [0.5, 4.0]},
    "burgers1d": {"viscosity": [1e-3, 1e-1], "n": 25},
    "gray_scott": {},
    "kdv": {"dispersion": [1e-4, 1e-2]},
    "ns2d": {"viscosity": [1e-4, 1e-2], "n": 15},
    "ns2d_velocity": {},
    "shallow_water": {"viscosity": [1e-3, 1e-1], "gravity": [0.5, 2.0], "coriolis": [0.1, 10.0]},
}


def posed(name):
    cls, settings = PROBLEMS[name]
    problem = cls(**settings | RANGES[name] | {"frames": 24})
    return problem, problem.sample([0, 1], 0)


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_vanishes_at_the_solution_alone(name):
    problem, a, u = solved(name)
    mild = Mild(problem, a, problem.grid, KNOWN)
    exact, frozen = (mild.coefficients(v) for v in (u, wrong(problem, u, 1, "frozen")))
    assert (mild.relative(mild(exact), exact) < 1e-6).all()
    assert (mild.relative(mild(frozen), frozen) > 1e-2).all()
    assert (mild.relative(mild(frozen), frozen) > 1e4 * mild.relative(mild(exact), exact)).all()


@pytest.mark.parametrize("name", RANGES)
def test_it_is_u_less_the_solution_of_the_linear_equation_driven_by_n_of_u(name):
    """E(u) = u - exp((t - t_0) L) u_0 - int_{t_0}^t exp((t - s) L) N(u(s)) ds, of a u that solves nothing, against
    quadrature of Gauss."""
    problem, a = posed(name)
    mild = Mild(problem, a, problem.grid, KNOWN)
    basis, duration = mild.basis, mild.step * problem.frames
    shape = (len(problem.out_names), *basis.grid.shape)
    modes = [basis.to_modes(torch.randn(2, *shape, dtype=torch.float64)) for _ in range(3)]

    def u(t):
        t = t / duration
        return modes[0] + 0.7 * torch.sin(2 * t) * modes[1] + 0.4 * t**2 * modes[2]

    times = mild.step * torch.arange(problem.frames + 1, dtype=torch.float64)
    found = mild(torch.stack([u(t) for t in times]))
    tendency, linear = problem.nonlinear(basis, a), problem.linear(basis, a)
    points, weights = np.polynomial.legendre.leggauss(60)
    first = times[KNOWN - 1]
    for frame in (KNOWN, 7, problem.frames):
        span = times[frame] - first
        expected = u(times[frame]) - (span * linear).exp() * u(first)
        for x, weight in zip(points, weights, strict=True):
            s = span * (x + 1) / 2
            expected = expected - span / 2 * weight * ((span - s) * linear).exp() * tendency(u(first + s))
        gap = (found[frame - KNOWN] - expected).flatten(1).norm(dim=1) / expected.flatten(1).norm(dim=1)
        assert (gap < 1e-8).all()


def test_of_a_linear_equation_it_is_the_error():
    problem, a, u = solved("advection1d", frames=6)  # no quadrature: as exact with few frames
    mild = Mild(problem, a, problem.grid, KNOWN)
    error = torch.randn_like(u)
    error[:, :, :KNOWN] = 0
    error = mild.values(mild.coefficients(error))
    torch.testing.assert_close(mild.values(mild(mild.coefficients(u + error))), error[:, :, KNOWN:])


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_derivative_is_that_of_differences(name):
    problem, a, u = solved(name)
    mild = Mild(problem, a, problem.grid, KNOWN)
    c = mild.coefficients(wrong(problem, u, 0.1, "growing"))
    v = mild.coefficients(wave(problem, u) * torch.randn_like(u))[KNOWN:]
    residual, derivative = mild.linearised(c)
    assert torch.equal(residual, mild(c))
    h, whole = 1e-4, torch.cat([torch.zeros_like(c[:KNOWN]), v])
    expected = (mild(c + h * whole) - mild(c - h * whole)) / (2 * h)
    assert (derivative(v) - expected).norm() < 1e-7 * expected.norm()
    assert (derivative(v) - v).norm() > (0 if name == "advection1d" else 1e-3) * v.norm()


@pytest.mark.parametrize("name", ["burgers1d", "ns2d", "shallow_water"])
@pytest.mark.parametrize("n", [15, 16])
def test_its_norm_is_the_relative_norm_of_the_values(name, n):
    problem, a, u = solved(name, frames=5, n=n)
    mild = Mild(problem, a, problem.grid, KNOWN)
    c, e = mild.coefficients(u), mild.coefficients(torch.randn_like(u))[KNOWN:]
    values = torch.cat([u[:, :, :KNOWN], mild.values(c[KNOWN:]) + mild.values(e)], dim=2)
    expected = relative(values, torch.cat([u[:, :, :KNOWN], mild.values(c[KNOWN:])], dim=2))
    w = torch.cat([c[:KNOWN], c[KNOWN:] + e])
    torch.testing.assert_close(mild.relative(e, w), expected)
    scaled = torch.view_as_real(mild.scale(c) * e)
    torch.testing.assert_close(scaled[:, :, 0].square().sum().sqrt(), _channel(mild, e, c, 0))
    for i in (0, 1):
        one = mild.relative(e[:, i : i + 1], w[:, i : i + 1])
        torch.testing.assert_close(one, expected[i : i + 1])  # samples do not mix


def _channel(mild, e, c, channel):
    """Over both samples, of one channel."""
    norm = Lp(mild.basis.grid)
    error, size = (norm(mild.values(x)[:, channel]).square().sum(1) for x in (e, c[mild.known :]))
    return (error / size).sum().sqrt()


def test_what_the_basis_does_not_hold_is_left_out():
    problem, a, u = solved("burgers1d", frames=5)
    sawtooth = (-1.0) ** torch.arange(problem.n, dtype=torch.float64)
    mild = Mild(problem, a, problem.grid, KNOWN)
    torch.testing.assert_close(mild.coefficients(u + sawtooth), mild.coefficients(u))


def test_velocities_without_divergence_have_it_taken_out():
    problem, a, u = solved("ns2d_velocity", frames=5)
    gradient = since(problem) * torch.stack([wave(problem, u)[:, 0]] * 2, dim=1)  # sin(x + y) (1, 1)
    mild = Mild(problem, a, problem.grid, KNOWN)
    torch.testing.assert_close(mild.coefficients(u + gradient), mild.coefficients(u))


def test_frames_may_be_on_another_lattice_and_start_at_any_time():
    problem, a, u = solved("ns2d")
    late = Grid((replace(problem.grid[0], start=7.0), *problem.grid.space))
    first, second = (Mild(problem, a, grid, KNOWN) for grid in (problem.grid, late))
    c = first.coefficients(u)
    torch.testing.assert_close(second(c), first(c), rtol=1e-6, atol=1e-12)
    odd = problem.grid.space.resized((21, 26))
    basis = problem.basis(problem.grid.space)
    resampled = basis.to_values(basis.to_modes(u), odd)
    fine = Mild(problem, a, Grid((problem.grid[0], *odd)), KNOWN)
    c = fine.coefficients(resampled)
    assert (fine.relative(fine(c), c) < 1e-3).all()  # the modes beyond those of the first lattice are missing


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (None, "an evolution equation, and problem=null"),
        (Poisson(), "poisson is not an evolution"),
        (Pendulum(), "pendulum is not an evolution"),
    ],
)
def test_a_problem_that_does_not_evolve_is_refused(problem, words):
    with pytest.raises(InputError, match=words):
        evolving(problem)


def test_frames_need_a_time_axis_and_two_kinds():
    problem = ShallowWater(n=8, initial=PeriodicKernel(width=1.0))
    a = problem.sample([0], 0)
    with pytest.raises(InputError, match="need a time axis"):
        Mild(problem, a, problem.grid.space, 1)
    grid = Grid((Axis("time", 4, 1.0, "uniform"), *problem.grid.space))
    with pytest.raises(InputError, match="4 snapshots, 4 of them known"):
        Mild(problem, a, grid, 4)
