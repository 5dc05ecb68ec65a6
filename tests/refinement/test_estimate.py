"""The error bar of a prediction beside its true error."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.poisson import Poisson
from pdeops.refinement.estimate import error_estimate
from pdeops.refinement.mild import Mild
from pdeops.solvers.steppers import Stepper
from tests.problems.test_contract import PROBLEMS, SMOOTH
from tests.refinement.cases import KNOWN, relative, sizes, solved, wave, wrong


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_the_error(name):
    problem, a, u = solved(name)
    exact = error_estimate(problem, a, u, problem.grid, KNOWN)
    assert exact.method == "duhamel"
    assert (exact.error < 1e-6).all()
    assert (exact.floor < 1e-6).all()
    assert torch.equal(exact.bound, exact.error + exact.floor)
    for size in (1e-3, 1e-2):
        v = wrong(problem, u, size, "oscillating")
        true = relative(v, u)
        assert (true > 0.2 * size).all()
        found = error_estimate(problem, a, v, problem.grid, KNOWN)
        assert found.method == "duhamel"
        assert (0.5 * true < found.error).all()
        assert (found.error < 2 * true).all()
        assert (found.floor < 0.1 * found.error).all()


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("kind", ["growing", "frozen"])
def test_it_ranks_errors_that_the_equation_itself_changes(name, kind):
    """Where N damps, feeds or turns an error before the end, E is what was put in, and the error what is left of it: of
    gravity waves, frozen with all their height, much less."""
    problem, a, u = solved(name)
    v = wrong(problem, u, 1e-2, kind)
    true, found = relative(v, u), error_estimate(problem, a, v, problem.grid, KNOWN)
    assert (true / 5 < found.error).all()
    assert (found.error < (15 if name == "shallow_water" else 5) * true).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_and_their_coefficients_do_not_mix(dtype):
    problem, a, u = solved("burgers1d", samples=3, viscosity=(1e-3, 1e-1))
    v = torch.cat([u[:1], wrong(problem, u, 1e-2, "growing")[1:2], u[2:]]).to(dtype)
    found = error_estimate(problem, a.to(dtype), v, problem.grid, KNOWN)
    floor = 3e-6 if dtype == torch.float32 else 1e-6
    assert (found.error[::2] < floor).all()
    assert float(found.error[1]) == pytest.approx(float(relative(v[1:2].double(), u[1:2])), rel=0.1)
    exchanged = error_estimate(problem, a.flip(0), u, problem.grid, KNOWN)
    assert (exchanged.error[::2] > 1e-2).all()  # another viscosity's trajectory is no solution


@pytest.mark.parametrize("channel", range(3))
def test_the_worst_channel_counts_by_its_own_size(channel):
    problem, a, u = solved("shallow_water")
    v = u.clone()
    v[:, channel] = wrong(problem, u, 3e-2, "oscillating")[:, channel]
    true, found = relative(v, u), error_estimate(problem, a, v, problem.grid, KNOWN)
    assert (0.5 * true < found.error).all()
    assert (found.error < 2 * true).all()


@pytest.mark.parametrize("name", ["burgers1d", "ns2d"])
def test_what_the_basis_does_not_hold_is_error(name):
    problem, a, u = solved(name)
    sawtooth = (-1.0) ** torch.arange(problem.n, dtype=torch.float64)
    v = u.clone()
    v[:, :, KNOWN:] += 1e-3 * (sizes(u) * sawtooth)
    true, found = relative(v, u), error_estimate(problem, a, v, problem.grid, KNOWN)
    torch.testing.assert_close(found.error, true, rtol=1e-3, atol=0)
    v = wrong(problem, v, 1e-3, "growing")
    assert (found.error < error_estimate(problem, a, v, problem.grid, KNOWN).error).all()


def test_the_mean_of_a_flow_that_has_none_is_error():
    problem, a, u = solved("ns2d_velocity")
    v = u.clone()
    v[:, :, KNOWN:] += 1e-2 * wave(problem, u)  # with divergence
    true, found = relative(v, u), error_estimate(problem, a, v, problem.grid, KNOWN)
    assert (0.5 * true < found.error).all()
    assert (found.error < 2 * true).all()


FAR = {"n": 16, "horizon": 8.0, "frames": 4, "viscosity": [1e-5, 1e-4], "initial": SMOOTH}


def far(**solver):
    """Frames 2 apart of nearly inviscid flow, of two viscosities."""
    problem = NavierStokes2D(**FAR, solver=Stepper(**{"tolerance": 1e-7} | solver))
    a = problem.sample([0, 1], 0)
    return problem, a


def steps(problem, a):
    """A trajectory, solved from frame to frame."""
    apart, path = problem.horizon / problem.frames, [a[:, :1]]
    for _ in range(problem.frames):
        path.append(problem.flow(a, path[-1], torch.tensor([0.0, apart]).double())[0][:, :, 1])
    return torch.stack(path, dim=2)


@pytest.mark.parametrize("known", [1, 2])
def test_the_solver_judges_frames_that_are_far_apart(known):
    problem, a = far()
    u = steps(problem, a)
    exact = error_estimate(problem, a, u, problem.grid, known)
    assert exact.method == "shooting"
    assert (exact.error < 1e-6).all()
    for size in (1e-3, 1e-2):
        v = u.clone()
        v[:, :, known:] += size * wave(problem, u, 2)
        true, found = relative(v, u, known), error_estimate(problem, a, v, problem.grid, known)
        assert found.method == "shooting"
        assert (found.floor < 1e-6).all()
        assert (0.5 * true < found.error).all()
        assert (found.error < 5 * true).all()  # what was wrong before goes astray on its own
        v[:, :, known:-1] = u[:, :, known:-1]
        true, found = relative(v, u, known), error_estimate(problem, a, v, problem.grid, known)
        torch.testing.assert_close(found.error, true, rtol=1e-2, atol=0)
    one = torch.cat([u[:1], v[1:]])
    found = error_estimate(problem, a, one, problem.grid, known)
    assert found.error[0] < 1e-6 < 1e-3 < found.error[1]


@pytest.mark.parametrize(("frames", "known"), [(1, 1), (2, 1), (4, 1), (4, 3), (9, 2), (13, 2)])
def test_orders_are_not_believed_where_frames_do_not_resolve_the_motion(frames, known):
    """Whatever the number of frames: of exact ones far apart, quadrature says the error is of the order of 1."""
    problem = NavierStokes2D(
        **FAR | {"n": 12, "horizon": 2.0 * frames, "frames": frames}, solver=Stepper(tolerance=1e-7)
    )
    a = problem.sample([0], 0)
    u = steps(problem, a)
    mild = Mild(problem, a, problem.grid, known, 12)
    c = mild.coefficients(u)
    assert (mild.relative(mild(c), c) > 0.1).all()
    found = error_estimate(problem, a, u, problem.grid, known)
    assert found.method == "shooting"
    assert (found.error < 1e-4).all()


@pytest.mark.parametrize("known", [1, 2, 3, 4])
@pytest.mark.parametrize("frames", [4, 8, 9])
def test_every_other_frame_is_compared_with_itself(frames, known):
    """Of a linear equation the error is told exactly, however it jumps from frame to frame, and so is that."""
    problem, a, u = solved("advection1d", frames=frames, n=25)
    v = u.clone()
    v[:, :, known:] += torch.randn_like(u[:, :, known:])
    found = error_estimate(problem, a, v, problem.grid, known)
    assert found.method == "duhamel"
    torch.testing.assert_close(found.error, relative(v, u, known))
    assert (found.floor < 1e-12).all()


def test_where_neither_can_tell_it_refuses():
    problem, a = far()
    u = steps(problem, a)
    rough, _ = far(dt=0.5, tolerance=1e9)
    words = r"error of sample 0 cannot be told: frames 2 apart are too far .*Lower problem\.solver\.tolerance"
    with pytest.raises(InputError, match=words):
        error_estimate(rough, a, u, problem.grid, 1)
    hopeless, _ = far(dt=2.0, tolerance=1e9)
    u[1, :, 2] *= 1e6
    with pytest.raises(InputError, match=r"error of sample 1 cannot be told.*from frame 3 to the next"):
        error_estimate(hopeless, a, u, problem.grid, 1)


def test_errors_below_the_smallest_need_no_better_judge():
    """At a fixed distance of frames the quadrature's floor is fixed: shooting is asked only for what is below it."""
    problem, a, u = solved("kdv", frames=10)
    found = [error_estimate(problem, a, u, problem.grid, KNOWN, smallest=smallest) for smallest in (1e-1, 1e-9)]
    assert [estimate.method for estimate in found] == ["duhamel", "shooting"]
    assert (found[0].bound > 3 * found[1].bound).all()
    v = wrong(problem, u, 0.1, "oscillating")
    assert error_estimate(problem, a, v, problem.grid, KNOWN, smallest=1e-9).method == "duhamel"


@pytest.mark.parametrize("problem", [None, Poisson(n=8)])
def test_it_takes_an_evolution(problem):
    _, a, u = solved("burgers1d")
    with pytest.raises(InputError, match="follow from an evolution equation, and"):
        error_estimate(problem, a, u, solved("burgers1d")[0].grid, KNOWN)
