"""The damped integral of polynomials in time against closed forms."""

from __future__ import annotations

import pytest
import torch
from scipy.integrate import quad_vec

from pdeops.errors import InputError
from pdeops.grid import Axis
from pdeops.solvers.volterra import Volterra

TIMES = Axis("time", 12, 0.7, "chebyshev", start=0.3).points()


@pytest.mark.parametrize("linear", [[0.0, -1e-9, -0.4, -3.0, -60.0, -1e5], [-0.5 + 8j, 40j, -90 - 70j]])
def test_polynomials_are_integrated_exactly(linear):
    """u = (s - s^2)^5 + s, s the time from the start: of degree 10, and its u' - L u of 10."""
    symbol = torch.tensor(linear).to(torch.complex128 if any(isinstance(x, complex) for x in linear) else torch.double)
    s = (TIMES - TIMES[0])[:, None].to(symbol.dtype)
    u = (s - s**2) ** 5 + s
    slope = 5 * (s - s**2) ** 4 * (1 - 2 * s) + 1
    g = (slope - symbol * u).to(torch.complex128)
    y = Volterra(symbol, TIMES)(torch.stack([g, 2j * g], 1))
    torch.testing.assert_close(y[:, 0], u.expand_as(g).to(y.dtype), rtol=0, atol=1e-11)
    torch.testing.assert_close(y[:, 1], 2j * y[:, 0], rtol=0, atol=1e-11)


def test_against_quadrature():
    linear = torch.tensor([-7.0], dtype=torch.float64)
    g = TIMES**11 - 0.3 * TIMES
    y = Volterra(linear, TIMES)(g[:, None, None].to(torch.complex128)).real.flatten()
    for t, found in zip(TIMES.tolist(), y.tolist(), strict=True):
        expected = quad_vec(lambda s, t=t: torch.e ** (-7 * (t - s)) * (s**11 - 0.3 * s), 0.3, t, epsabs=1e-13)[0]
        assert found == pytest.approx(expected, abs=1e-12)


def test_channels_may_share_a_symbol_or_have_their_own():
    own = -torch.rand(2, 5, dtype=torch.float64)
    g = torch.randn(12, 3, 2, 5, dtype=torch.complex128)
    both = Volterra(own, TIMES)(g)
    torch.testing.assert_close(both[:, :, 1:], Volterra(own[1:], TIMES)(g[:, :, 1:]))
    common = Volterra(own[:1], TIMES)(g)
    torch.testing.assert_close(common[:, :, 1], Volterra(own[0], TIMES)(g[:, :, 1]))


def test_growth_is_refused():
    with pytest.raises(InputError, match="positive real parts"):
        Volterra(torch.tensor([-1.0, 0.1]), TIMES)


def test_real_values_stay_real():
    linear, g = -torch.rand(5, dtype=torch.float64), torch.randn(12, 3, 5, dtype=torch.float64)
    y = Volterra(linear, TIMES)(g)
    torch.testing.assert_close(y.to(torch.complex128), Volterra(linear, TIMES)(g.to(torch.complex128)))
    turning = Volterra(1j * linear, TIMES)(g)
    torch.testing.assert_close(turning, Volterra(1j * linear, TIMES)(g.to(torch.complex128)))
