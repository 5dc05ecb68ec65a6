"""Orders of the schemes, for each part alone and for both."""

from math import cos, exp, sin

import pytest
import torch

from pdeops.solvers.schemes import SCHEMES, Exponential, ImplicitExplicit

ONE = torch.ones(1, dtype=torch.float64)
EXPONENTIAL = [name for name, scheme in SCHEMES.items() if isinstance(scheme, Exponential)]


def final(name, steps, linear, nonlinear, u, end=1.0):
    dt = end / steps
    step = SCHEMES[name].prepare(linear, dt, u.dtype)
    for i in range(steps):
        u = step(u, i * dt, nonlinear)
    return u


def measured_order(name, linear, nonlinear, u, exact, steps=40):
    errors = [(final(name, m, linear, nonlinear, u) - exact).abs().max() for m in (steps, 2 * steps)]
    return float(torch.log2(errors[0] / errors[1]))


@pytest.mark.parametrize("name", SCHEMES)
def test_order_of_the_nonlinear_part(name):
    """u' = u^2, u(0) = 1/2: u(1) = 1."""
    scheme = SCHEMES[name]
    order = scheme.orders[0] if isinstance(scheme, ImplicitExplicit) else scheme.order
    assert measured_order(name, 0 * ONE, lambda u, t: u * u, ONE / 2, ONE) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", [n for n in SCHEMES if n not in EXPONENTIAL])
def test_order_of_the_implicit_part(name):
    """u' = -2 u."""
    rate = -2 * ONE
    measured = measured_order(name, rate, lambda u, t: 0 * u, ONE, rate.exp(), steps=20)
    assert measured == pytest.approx(SCHEMES[name].orders[1], abs=0.1)


@pytest.mark.parametrize("name", EXPONENTIAL)
def test_exponential_schemes_are_exact_on_the_linear_part(name):
    rate = torch.tensor([-2.0, 3j, -1e4, 0.0], dtype=torch.complex128)
    u = torch.tensor([1.0, 1j, 2.0, -1.0], dtype=torch.complex128)
    torch.testing.assert_close(final(name, 1, rate, lambda u, t: 0 * u, u), rate.exp() * u)


@pytest.mark.parametrize("name", SCHEMES)
def test_order_of_both_parts_together(name):
    """The logistic equation u' = u - u^2, u(0) = 1/10."""
    exact = 1 / (1 + 9 * torch.exp(-ONE))
    assert measured_order(name, ONE, lambda u, t: -u * u, ONE / 10, exact) == pytest.approx(
        SCHEMES[name].order, abs=0.25
    )


@pytest.mark.parametrize("name", SCHEMES)
def test_order_with_a_nonlinearity_that_knows_the_time(name):
    """u' = -u + 3 cos(3 t) u: u = exp(sin 3 t - t). The stages' times count."""
    exact = ONE * exp(sin(3) - 1)
    measured = measured_order(name, -ONE, lambda u, t: 3 * cos(3 * t) * u, ONE, exact, steps=80)
    assert measured == pytest.approx(SCHEMES[name].order, abs=0.25)


@pytest.mark.parametrize("name", ["etdrk2", "etdrk3", "etdrk4"])
def test_a_constant_forcing_is_met_exactly_however_stiff(name):
    """u' = -1000 u + 1: the sum of the weights b is phi_1, and so is that of every row, times its node."""
    rate = torch.tensor([-1000.0], dtype=torch.float64)
    exact = rate.exp() * ONE + (rate.exp() - 1) / rate
    torch.testing.assert_close(final(name, 3, rate, lambda u, t: ONE, ONE), exact, rtol=1e-12, atol=1e-15)


def test_stiff_decay_is_stable_far_beyond_the_explicit_limit():
    rate = torch.tensor([-1e6], dtype=torch.float64)
    for name in SCHEMES:
        assert final(name, 10, rate, lambda u, t: 0 * u, ONE).abs() <= 1


def test_a_step_changes_no_state_and_serves_any_batch():
    for scheme in SCHEMES.values():
        step = scheme.prepare(-ONE, 0.1, torch.float64)
        u = torch.rand(3, 2, 1, dtype=torch.float64)
        kept = u.clone()
        out = step(u, 0.0, lambda u, t: u)
        assert torch.equal(u, kept)
        torch.testing.assert_close(out[1:2], step(u[1:2], 0.0, lambda u, t: u))


def test_stages_are_counted():
    for scheme in SCHEMES.values():
        calls = []
        scheme.prepare(-ONE, 0.1, torch.float64)(ONE, 0.0, lambda u, t, calls=calls: calls.append(t) or u)
        assert len(calls) == scheme.stages


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
