"""Fine-tuning of the output's series in time."""

from __future__ import annotations

import pytest
import torch

from pdeops.errors import InputError
from pdeops.refinement.finetune import finetune
from tests.refinement.cases import KNOWN, relative, solved


def in_series(u, period, modes, size):
    """u with an error that is a series in time of `modes`, zero at the last known frame."""
    n = u.shape[2] - KNOWN
    t = torch.arange(1, n + 1, dtype=torch.float64) / n
    angle = 2 * torch.pi * torch.outer(t, torch.arange(1, modes // 2 + 1)) / period
    series = torch.cat([angle.cos() - 1, angle.sin()], dim=1).sum(1)
    shape = u[:, :, :1].roll(3, -1) * series.view(-1, *(1,) * (u.ndim - 3))
    wrong = u.clone()
    wrong[:, :, KNOWN:] += size * shape * u.norm() / shape.norm()
    return wrong


@pytest.mark.parametrize("name", ["burgers1d", "ns2d", "shallow_water"])
def test_an_error_within_the_series_is_removed(name):
    problem, a, u = solved(name, frames=14, samples=2)
    v = in_series(u, 1.5, 5, 0.03)
    found = finetune(problem, a, v, problem.grid, KNOWN, tol=1e-4, modes=5, iterations=80)
    assert (relative(v, u) > 0.01).all()
    assert (relative(found.u, u) < 1e-3).all()
    assert torch.equal(found.u[:, :, :KNOWN], v[:, :, :KNOWN])
    for history in found.history:
        assert history[-1][0] <= 80
        assert history[-1][1] < 0.05 * history[0][1]


def test_an_error_outside_the_series_stays():
    problem, a, u = solved("burgers1d", frames=14)
    v = in_series(u, 1.5, 13, 0.03)
    few = finetune(problem, a, v, problem.grid, KNOWN, modes=3, iterations=60)
    many = finetune(problem, a, v, problem.grid, KNOWN, modes=13, iterations=60)
    assert (relative(many.u, u) < 0.3 * relative(few.u, u)).all()


def test_a_period_that_the_window_is_longer_than_is_not_the_models():
    """A rollout's: the series of a single prediction would come back to its start within it."""
    problem, a, u = solved("burgers1d", frames=14)
    v = in_series(u, 1.5, 5, 0.03)
    step = problem.grid[0].points().diff()[0]
    window = float(step) * (u.shape[2] - KNOWN)
    options = {"modes": 5, "iterations": 10}
    own, short, long = (
        finetune(problem, a, v, problem.grid, KNOWN, period=period, **options).u
        for period in (None, 0.9 * window, 1.2 * window)
    )
    assert torch.equal(short, own)
    assert not torch.equal(long, own)


def test_the_strong_residual_as_the_objective_lowers_the_residual():
    problem, a, u = solved("burgers1d", frames=14)
    v = in_series(u, 1.5, 5, 0.03)
    found = finetune(problem, a, v, problem.grid, KNOWN, modes=5, iterations=40, objective="residual")
    assert (relative(found.u, u) < 0.9 * relative(v, u)).all()


def test_it_stops_at_the_tolerance_and_leaves_solutions_alone():
    problem, a, u = solved("burgers1d", frames=14)
    found = finetune(problem, a, u, problem.grid, KNOWN, tol=1e-2, modes=9)
    assert found.iterations.tolist() == [0] * len(u)
    assert (relative(found.u, u) < 1e-12).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"modes": 99}, "modes=99 in time: wanted 2 to"),
        ({"modes": 1}, "modes=1 in time"),
        ({"iterations": 0}, "iterations=0"),
        ({"objective": "best"}, "objective='best'"),
        ({"tol": 2.0}, "tol=2"),
    ],
)
def test_what_it_does_not_take(options, words):
    problem, a, u = solved("burgers1d", frames=6)
    with pytest.raises(InputError, match=words):
        finetune(problem, a, u, problem.grid, KNOWN, **options)
