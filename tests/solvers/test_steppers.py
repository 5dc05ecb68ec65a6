"""Orders of the schemes, and the bookkeeping of steps."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.solvers.steppers import SCHEMES, Stepper


def final(scheme, dt, linear, nonlinear, u0, t, coarsen=1):
    frames = {}
    times = torch.tensor([0.0, t], dtype=torch.float64)
    Stepper(scheme, dt).integrate(linear, nonlinear, u0, times, coarsen=coarsen, record=frames.__setitem__)
    return frames[1]


def order(scheme, linear, nonlinear, u0, exact, dt):
    errors = [(final(scheme, h, linear, nonlinear, u0, 1.0) - exact).abs().max() for h in (dt, dt / 2)]
    return float(torch.log2(errors[0] / errors[1]))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_explicit_order(scheme):
    """u' = u^2, u(0) = 1/2: u(1) = 1."""
    zero, half, one = (torch.tensor([v], dtype=torch.float64) for v in (0.0, 0.5, 1.0))
    measured = order(scheme, zero, lambda u: u * u, half, one, 0.05)
    assert measured == pytest.approx(SCHEMES[scheme].order[0], abs=0.15)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_implicit_order(scheme):
    """u' = -2 u."""
    rate, one = torch.tensor([-2.0], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert order(scheme, rate, torch.zeros_like, one, rate.exp(), 0.05) == pytest.approx(
        SCHEMES[scheme].order[1], abs=0.1
    )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_order_of_both_parts_together(scheme):
    """The logistic equation u' = u - u^2, u(0) = 1/10, split into its linear and quadratic part."""
    rate = torch.ones(1, dtype=torch.float64)
    exact = 1 / (1 + 9 * torch.exp(-rate))
    assert order(scheme, rate, lambda u: -u * u, rate / 10, exact, 0.1) == pytest.approx(2, abs=0.15)


def test_stiff_decay_is_stable_far_beyond_the_explicit_limit():
    rate, one = torch.tensor([-1e6], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert final("cn_rk4", 0.1, rate, torch.zeros_like, one, 1.0).abs() <= 1


def test_every_snapshot_is_met_and_halving_doubles_the_steps():
    stepper = Stepper(dt=0.3)
    assert stepper.steps(1.0) == 2 * stepper.steps(1.0, coarsen=2) == 4
    assert Stepper(dt=0.25).steps(1.0) == 4
    frames = {}
    times = torch.tensor([0.0, 0.7, 1.0, 2.5], dtype=torch.float64)
    rate = torch.tensor([0.5], dtype=torch.float64)
    Stepper(dt=1e-3).integrate(rate, torch.zeros_like, torch.ones_like(rate), times, record=frames.__setitem__)
    for i, t in enumerate(times):
        assert float(frames[i]) == pytest.approx(float(torch.exp(0.5 * t)), rel=1e-6)


def test_mistakes_are_refused():
    with pytest.raises(InputError, match="Did you mean 'cn_rk4'"):
        Stepper("cn_rk5")
    with pytest.raises(InputError, match="positive"):
        Stepper(dt=0)


def test_carpenter_kennedy_table():
    s = SCHEMES["cn_rk4"]
    b = [
        567301805773 / 1357537059087,
        2404267990393 / 2016746695238,
        3550918686646 / 2091501179385,
        1275806237668 / 842570457699,
    ]
    assert s.beta[1:] == pytest.approx([-v for v in b], abs=1e-11)
    assert s.gamma == pytest.approx(
        [
            1432997174477 / 9575080441755,
            5161836677717 / 13612068292357,
            1720146321549 / 2090206949498,
            3134564353537 / 4481467310338,
            2277821191437 / 14882151754819,
        ],
        abs=1e-11,
    )
    assert s.alpha[1:5] == pytest.approx(
        [
            1432997174477 / 9575080441755,
            2526269341429 / 6820363962896,
            2006345519317 / 3224310063776,
            2802321613138 / 2924317926251,
        ],
        abs=1e-11,
    )


def test_steps_ignore_round_off():
    assert Stepper(dt=0.1).steps(0.1 + 0.2 - 0.1 + 1e-13) == 2
    assert Stepper(dt=0.1).steps(0.2 * (1 + 1e-12)) == 2


def test_estimate_of_seconds_counts_every_step():
    rate = torch.zeros(1, dtype=torch.float64)
    import time

    def slow(u):
        return (time.sleep(0.002), torch.zeros_like(u))[1]

    s = Stepper(dt=0.1).seconds(rate, slow, rate, torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))
    assert 20 * 5 * 0.002 <= s < 20 * 5 * 0.01
