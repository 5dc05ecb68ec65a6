"""Refinement reaches the solution, from anywhere, and says so."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.problems.poisson import Poisson
from pdeops.refinement import newton
from pdeops.refinement.estimate import error_estimate
from pdeops.refinement.mild import Mild
from pdeops.refinement.newton import newton_krylov
from pdeops.refinement.refine import refine
from pdeops.solvers.krylov import RecycleSpace
from pdeops.solvers.steppers import Stepper
from tests.problems.test_contract import PROBLEMS, SMOOTH
from tests.refinement.cases import KNOWN, relative, solved, wrong

CHANGES = {
    "advection1d": {"speed": (0.5, 4.0)},
    "burgers1d": {"viscosity": (1e-3, 1e-1), "n": 25},
    "ns2d": {"viscosity": (1e-4, 1e-2), "n": 15, "frames": 12},
    "shallow_water": {"gravity": (0.5, 2.0)},
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_it_is_the_solution(name):
    problem, a, u = solved(name, **CHANGES.get(name, {}))
    v = wrong(problem, u, 0.1, "frozen")
    tol = 1e-6
    found = newton_krylov(problem, a, v, problem.grid, KNOWN, tol=tol)
    assert (relative(v, u) > 1e-2).all()
    assert (relative(found.u, u) <= 2 * tol).all()
    assert torch.equal(found.u[:, :, :KNOWN], u[:, :, :KNOWN])
    assert found.converged.all()
    assert (found.estimate.bound <= tol).all()
    for history, products in zip(found.history, found.iterations.tolist(), strict=True):
        assert history[-1][0] == products > 0
        assert history[0][1] > 1e-2
        assert history[-1][1] < 1e-6
        assert [n for n, _ in history] == sorted(n for n, _ in history)


@pytest.mark.parametrize("tol", [1e-3, 1e-9])
def test_no_more_work_than_the_tolerance_asks_for(tol):
    problem, a, u = solved("burgers1d")
    found = newton_krylov(problem, a, wrong(problem, u, 0.1, "growing"), problem.grid, KNOWN, tol=tol)
    error = relative(found.u, u)
    assert (error <= 2 * tol).all()
    assert (error > 1e-4 * tol).all()
    known = newton_krylov(problem, a, u, problem.grid, KNOWN, tol=tol)
    assert (known.iterations <= 5).all()  # what the certificate takes
    torch.testing.assert_close(known.u, u)


@pytest.mark.parametrize(("name", "tol"), [("burgers1d", 1e-6), ("kdv", 1e-9)])
def test_every_product_is_counted(monkeypatch, name, tol):
    """Of all Newton steps, and on all numbers of frames."""
    problem, a, u = solved(name, samples=1, frames=6)
    calls, linearised = [], Mild.linearised

    def counted(mild, c):
        residual, derivative = linearised(mild, c)
        return residual, lambda v: calls.append(len(v)) or derivative(v)

    monkeypatch.setattr(Mild, "linearised", counted)
    found = newton_krylov(problem, a, wrong(problem, u, 0.1, "frozen"), problem.grid, KNOWN, tol=tol)
    assert found.iterations.tolist() == [len(calls)]
    assert found.history[0][-1][0] == len(calls)
    assert max(calls) == int(found.frames) * (problem.frames + 1 - KNOWN)
    assert (int(found.frames) > 1) == (name == "kdv")


def test_samples_are_refined_as_if_alone_and_told():
    problem, a, u = solved("kdv", samples=3, dispersion=(1e-4, 1e-2))
    v, seen = wrong(problem, u, 0.1, "growing"), []
    found = refine(problem, a, v, problem.grid, KNOWN, method="newton", progress=seen.append)
    assert seen == [1, 2, 3]
    assert (relative(found.u, u) < 2e-6).all()
    for i in range(3):
        alone = newton_krylov(problem, a[i : i + 1], v[i : i + 1], problem.grid, KNOWN)
        assert torch.equal(alone.u[0], found.u[i])
        assert int(alone.iterations) == int(found.iterations[i])
        assert float(alone.estimate.error) == float(found.estimate.error[i])


@pytest.mark.parametrize("known", [1, 3])
def test_frames_are_inserted_where_they_are_too_far_apart(known):
    problem, a, u = solved("kdv", frames=6, horizon=0.5)
    v = u.clone()
    v[:, :, known:] = u[:, :, known - 1 : known]
    found = newton_krylov(problem, a, v, problem.grid, known)
    assert (found.frames > 1).any()
    assert found.converged.all()
    assert found.u.shape == u.shape
    assert torch.equal(found.u[:, :, :known], u[:, :, :known])
    assert (relative(found.u, u, known) <= 2e-6).all()
    assert (error_estimate(problem, a, found.u, problem.grid, known).error <= 1e-6).all()


def test_a_solver_that_cannot_judge_the_given_frames_does_not_stop_it():
    """With its default tolerance of 1e-6 the solver cannot certify 1e-9; frames inserted can."""
    problem, a, u = solved("kdv", frames=6)
    loose = type(problem)(
        **{key: getattr(problem, key) for key in ("n", "length", "horizon", "frames", "dispersion", "initial")}
    )
    found = newton_krylov(loose, a, wrong(problem, u, 0.1, "frozen"), problem.grid, 1, tol=1e-9)
    assert (found.frames > 1).all()
    assert found.converged.all()
    assert (relative(found.u, u, 1) <= 2e-9).all()


def test_what_is_out_of_reach_is_not_called_converged(monkeypatch):
    """Without more frames the quadrature in time is what is left."""
    monkeypatch.setattr(newton, "FINEST", 1)
    problem, a, u = solved("kdv", samples=1, frames=6, horizon=0.5)
    found = newton_krylov(problem, a, wrong(problem, u, 0.1, "frozen"), problem.grid, KNOWN)
    true = relative(found.u, u)
    assert found.converged.tolist() == [False]
    assert (true > 1e-6).all()
    assert (0.5 * true < found.estimate.error).all()
    assert (found.estimate.error < 2 * true).all()


def test_with_a_recycle_space_the_solution_is_the_same():
    problem, a, u = solved("kdv")
    v, space = wrong(problem, u, 0.1, "growing"), RecycleSpace()
    found = newton_krylov(problem, a, v, problem.grid, KNOWN, recycle=space)
    assert (relative(found.u, u) <= 2e-6).all()
    assert space.systems >= 4
    assert space.applications > 0


@pytest.mark.parametrize("tol", [0.0, 1e-13, 1.0, float("nan")])
def test_tolerances_out_of_range_are_refused(tol):
    problem, a, u = solved("burgers1d")
    with pytest.raises(InputError, match=r"tol=.*between 1e-12 and 1"):
        newton_krylov(problem, a, u, problem.grid, KNOWN, tol=tol)


@pytest.mark.parametrize("problem", [None, Poisson(n=8)])
def test_it_takes_an_evolution(problem):
    known, a, u = solved("burgers1d")
    with pytest.raises(InputError, match="follow from an evolution equation, and"):
        newton_krylov(problem, a, u, known.grid, KNOWN)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_few_frames_out_of_reach_keep_the_best_there_is(frames, monkeypatch):
    """Fewer frames than the series in time has modes: it takes those they tell apart, and of one frame none."""
    monkeypatch.setattr("pdeops.refinement.newton.FINEST", 1)
    monkeypatch.setattr("pdeops.refinement.newton.STEPS", 1)
    problem = NavierStokes2D(
        n=12, horizon=16.0 * frames, frames=frames, viscosity=1e-4, initial=SMOOTH, solver=Stepper(tolerance=1e-5)
    )
    a = problem.sample([0], 0)
    v = a[:, :, None].expand(-1, -1, frames + 1, -1, -1)
    found = refine(problem, a, v, problem.grid, 1, tol=1e-9)
    assert not found.converged.any()
    assert (found.estimate.bound <= error_estimate(problem, a, v, problem.grid, 1).bound).all()


@pytest.mark.parametrize("method", ["newton", "finetune", "auto"])
def test_predictions_that_want_gradients(method):
    problem, a, u = solved("burgers1d", frames=8)
    v = wrong(problem, u, 0.1, "growing").requires_grad_()
    found = refine(problem, a, v, problem.grid, KNOWN, tol=1e-3, method=method)
    assert found.converged.all()
    assert not found.u.requires_grad


@pytest.mark.parametrize("frame", [5, 20])
def test_frames_that_are_not_finite_are_told(frame):
    problem, a, u = solved("burgers1d")
    v = u.clone()
    v[1, :, frame, 3] = float("nan")
    with pytest.raises(InputError, match="error of sample 1 cannot be told: its frames are not finite"):
        error_estimate(problem, a, v, problem.grid, KNOWN)
    found = newton_krylov(problem, a, v, problem.grid, KNOWN)
    assert found.converged.tolist() == [True, False]
