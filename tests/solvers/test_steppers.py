"""Snapshots, the choice of steps, the error estimate, and what stops an integration."""

import time
from math import cos, exp, log1p, sin

import pytest
import torch

from pdeops.errors import InputError
from pdeops.solvers import steppers
from pdeops.solvers.steppers import Diverged, Stepper


def run(stepper, linear, nonlinear, u, times, progress=None):
    """(snapshots (B, C, T), errors) of a system without space."""
    u, error, _ = stepper.solve(
        linear,
        nonlinear,
        u,
        torch.tensor(times, dtype=torch.float64),
        observe=lambda u: u,
        distance=lambda u, v: ((u - v).norm(dim=2) / u.norm(dim=2)).amax(1),
        progress=progress,
    )
    return u, error


def state(*rows):
    return torch.tensor(rows, dtype=torch.float64)


ZERO = torch.zeros(1, dtype=torch.float64)


@pytest.mark.parametrize("dt", [1e-2, "auto"])
def test_every_snapshot_is_met(dt):
    times = [0.0, 0.7, 1.0, 2.5, 2.6]
    u, error = run(Stepper(dt=dt, tolerance=1e-8), ZERO, lambda u, t: -u * u, state([0.5], [1.0]), times)
    exact = torch.stack([1 / (1 / state([0.5], [1.0]) + t) for t in times], dim=2)
    torch.testing.assert_close(u, exact, rtol=1e-7, atol=0)
    assert (error <= 1e-8).all()


def test_equal_steps_are_counted_in_pairs_and_ignore_round_off():
    assert Stepper(dt=0.3).pairs(1.0) == 2
    assert Stepper(dt=0.25).pairs(1.0) == 2
    assert Stepper(dt=0.1).pairs(0.1 + 0.2 - 0.1 + 1e-13) == 1
    assert Stepper(dt=0.1).pairs(0.2 * (1 + 1e-12)) == 1


@pytest.mark.parametrize("scheme", ["cn_rk4", "etdrk2", "etdrk4"])
def test_the_step_halving_error_bounds_the_error(scheme):
    """By the factor 2^order - 1 in the limit: the error is that of the finer solution."""
    order = {"cn_rk4": 4, "etdrk2": 2, "etdrk4": 4}[scheme]  # without a linear part
    u, error = run(Stepper(scheme, dt=0.02, tolerance=1.0), ZERO, lambda u, t: u * u, state([0.5]), [0.0, 1.0])
    actual = float((u[..., -1] - 1).abs())
    assert float(error) * 2**0.5 / actual == pytest.approx(2**order - 1, rel=0.5)  # over both snapshots' norm


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_automatic_steps_meet_the_tolerance_without_waste(tolerance):
    """u' = -100 (u - cos 10 t): a fast transient, then a slow oscillation."""
    calls = []

    def forcing(u, t):
        calls.append(t)
        return 100 * cos(10 * t) + 0 * u

    u, error = run(Stepper(tolerance=tolerance), ZERO - 100, forcing, state([0.0]), [0.0, 0.5, 1.0])
    assert float(error) <= tolerance
    a, b = 1e4 / 10100, 1e3 / 10100  # the particular solution a cos 10 t + b sin 10 t
    exact = [a * cos(10 * t) + b * sin(10 * t) - a * exp(-100 * t) for t in (0.5, 1)]
    assert u[0, 0, 1:].tolist() == pytest.approx(exact, abs=tolerance)
    automatic = len(calls)
    for pairs in (2**k for k in range(20)):
        calls.clear()
        if (
            float(run(Stepper(dt=0.25 / pairs, tolerance=1.0), ZERO - 100, forcing, state([0.0]), [0.0, 0.5, 1.0])[1])
            <= tolerance
        ):
            break
    assert automatic < 4 * len(calls)  # of the largest power of two that would have done


def test_steps_grow_again_after_a_transient():
    """A quick start must not set the pace of what follows."""
    seen = []
    run(Stepper(tolerance=1e-8), ZERO, lambda u, t: seen.append(t) or -500 * u**3, state([1.0]), [0.0, 1.0, 2.0, 3.0])
    share = [sum(1 for t in seen if lo <= t < lo + 1) for lo in (0, 2)]
    assert share[1] < share[0] / 4


def test_a_tolerance_out_of_reach_is_reported_not_met(monkeypatch):
    """The error is told, and the caller refuses."""
    monkeypatch.setattr(steppers, "ATTEMPTS", 1)
    monkeypatch.setattr(steppers, "OPTIMISM", 1e6)
    _, error = run(Stepper(tolerance=1e-9), ZERO, lambda u, t: -u * u, state([1.0]), [0.0, 1.0])
    assert 1e-9 < float(error) < 1e-3


@pytest.mark.parametrize("times", [[0.0, 5.0], [0.0, 1.0, 5.0]])
def test_steps_beyond_stability_are_tried_again_shorter(monkeypatch, times):
    """A still solution of a stiff equation: no pair shows an error until steps are unstable, and then all is lost."""
    paces = []
    march = Stepper._march

    def spy(self, linear, nonlinear, u, instants, pace):
        paces.append(pace)
        return march(self, linear, nonlinear, u, instants, pace)

    monkeypatch.setattr(Stepper, "_march", spy)
    u, error = run(Stepper(), ZERO, lambda u, t: 40 * (torch.cos(u) - u), state([0.7390851332], [0.7390851332]), times)
    assert float(error.max()) <= 1e-6
    assert u[:, 0, -1].tolist() == pytest.approx([0.7390851332] * 2, rel=1e-6)
    assert all(p.local > 0 for p in paces)


def test_equal_steps_are_never_longer_than_asked():
    for dt in (0.3, 1 / 3, 0.17, 0.1, 0.0312):
        assert 1 / (2 * Stepper(dt=dt).pairs(1.0)) <= dt * (1 + 1e-9)
    assert Stepper(dt=1 / 3).pairs(1.0) == 2


def test_time_in_other_units_takes_the_same_steps():
    counts = []
    for unit in (1.0, 1024.0):
        calls = []
        run(
            Stepper(tolerance=1e-9),
            ZERO,
            lambda u, t, unit=unit, calls=calls: calls.append(t) or -u * u / unit,
            state([1.0]),
            [0.0, unit],
        )
        counts.append(len(calls))
    assert counts[0] == counts[1]


def test_a_fixed_step_that_blows_up_is_seen_within_its_span():
    with pytest.raises(Diverged) as caught:
        run(Stepper(dt=1e-3), ZERO, lambda u, t: u**2, state([1.0]), [0.0, 8.0])
    assert float(str(caught.value).split("time ")[1].split(",")[0]) < 2


def test_channels_are_measured_by_themselves_down_to_round_off():
    norms = torch.tensor([[1.0, 1e-6], [1.0, 1e-9], [0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[1.0, 1e-6], [1.0, 2.0**-26]], dtype=torch.float64)
    torch.testing.assert_close(steppers.floored(norms)[:2], expected)
    assert (steppers.floored(norms)[2] > 0).all()


def test_a_relative_error_is_of_the_worst_channel():
    u = torch.stack([torch.ones(4, 3), 2 * torch.ones(4, 3)]).unsqueeze(0).to(torch.float64)
    error = torch.stack([0.1 * torch.ones(4, 3), 0.3 * torch.ones(4, 3)]).unsqueeze(0).to(torch.float64)
    torch.testing.assert_close(steppers.relative(error, u), torch.tensor([0.15], dtype=torch.float64))


@pytest.mark.parametrize("dt", [0.05, "auto"])
def test_blow_up_names_the_sample_the_step_and_the_remedy(dt):
    with pytest.raises(Diverged, match=r"sample 1: .*no longer finite at time .*step \d+.*aise problem.n") as caught:
        run(Stepper(dt=dt), ZERO, lambda u, t: u**2, state([0.1], [1.0]), [0.0, 0.5, 8.0])
    assert caught.value.sample == 1


def test_progress_rises_to_one():
    seen = []
    run(Stepper(dt=0.1, tolerance=1.0), ZERO, lambda u, t: -u, state([1.0]), [0.0, 1.0, 2.0], seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) == 10


def test_the_estimate_of_seconds_counts_both_solutions():
    def slow(u, t):
        time.sleep(0.002)
        return 0 * u

    times = torch.tensor([0.0, 5.0, 10.0], dtype=torch.float64)
    estimate = Stepper(dt=0.1).seconds(ZERO, slow, state([1.0]), times, limit=0.2)
    assert 1.5 * 100 * 4 * 0.002 <= estimate < 4 * 1.5 * 100 * 4 * 0.002


def test_the_estimate_of_seconds_waits_for_steps_to_grow():
    """The search of the first step takes most of a short pilot, and this first step is far from the later ones."""

    def nonlinear(u, t):
        time.sleep(0.001)
        return -100 * (u - 1) * torch.exp(torch.tensor(-5.0 * t))

    times = [0.0, 2.0, 4.0]
    begin = time.perf_counter()
    run(Stepper(tolerance=1e-4), ZERO, nonlinear, state([2.0]), times)
    took = time.perf_counter() - begin
    instants = torch.tensor(times, dtype=torch.float64)
    estimate = Stepper(tolerance=1e-4).seconds(ZERO, nonlinear, state([2.0]), instants, limit=0.05)
    assert took / 4 < estimate < 100 * took  # 400 times at the first pace


def test_mistakes_are_refused():
    with pytest.raises(InputError, match="Did you mean 'cn_rk4'"):
        Stepper("cn_rk5")
    for wrong in (0, -0.1, "fast"):
        with pytest.raises(InputError, match="wanted auto, or a positive step"):
            Stepper(dt=wrong)
    for wrong in (0.0, 1e-30, float("nan")):
        with pytest.raises(InputError, match="wanted at least 1e-13"):
            Stepper(tolerance=wrong)


def test_what_no_step_can_do_is_said_so():
    with pytest.raises(Diverged, match=r"no step of cn_euler is short enough .* Raise it, or take a scheme of higher"):
        run(Stepper("cn_euler", tolerance=1e-12), ZERO, lambda u, t: -u * u, state([1.0]), [0.0, 1.0])


def test_an_input_that_is_not_finite_is_named():
    broken, times = state([1.0], [float("nan")]), [0.0, 1.0]
    with pytest.raises(Diverged, match="sample 1: its input is not finite"):
        run(Stepper(), ZERO, lambda u, t: -u, broken, times)
    assert Stepper().seconds(ZERO, lambda u, t: -u, broken, torch.tensor(times)) < 1


def test_what_turns_stiff_between_two_estimates_is_solved_again():
    """u' = -k(t) u, k rising from 0 to 2000 within 0.01: long steps meet it unawares."""
    times = [0.0, 0.5, 0.51, 1.0]

    def stiff(u, t):
        return -2000 / (1 + exp((0.5 - t) / 0.002)) * u

    u, error = run(Stepper(tolerance=1e-6), ZERO, stiff, state([1.0], [2.0]), times)
    assert float(error.max()) <= 1e-6
    exact = [exp(-2000 * 0.002 * log1p(exp((t - 0.5) / 0.002))) for t in times]
    assert u[1, 0].tolist() == pytest.approx([2 * v for v in exact], abs=2e-6)
