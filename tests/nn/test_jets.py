"""Taylor arithmetic."""

import pytest
import torch

from pdeops.nn.derivatives import derivatives
from pdeops.nn.jets import below, composed, derivative, times, unit
from pdeops.nn.perceptron import FUNCTIONS, Perceptron

KEYS = below([(3, 1), (0, 2)])


def test_orders_below():
    assert below([(1, 2), (2, 0)]) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0), (1, 2)]
    assert below([(0,)]) == [(0,)]
    assert (unit(1, 3), unit(0, 2, 4)) == ((0, 1, 0), (4, 0))


def polynomial(x, y):
    """1 + 2 x y + x^3 and its Taylor coefficients; the last, a constant, stands there once."""
    one = torch.ones_like(x)
    taylor = {(0, 0): 1 + 2 * x * y + x**3, (1, 0): 2 * y + 3 * x**2, (0, 1): 2 * x, (2, 0): 3 * x, (1, 1): 2 * one}
    return taylor | {(3, 0): torch.ones((), dtype=x.dtype)}


def test_products_and_functions_are_those_of_series():
    y = torch.rand(7, 2, dtype=torch.float64)
    jet = polynomial(*y.unbind(-1))

    def value(y):
        return polynomial(*y.unbind(-1))[0, 0]

    square, expected = times(jet, jet, KEYS), derivatives(lambda y: value(y) ** 2, y, KEYS)
    exponential = composed([value(y).exp() / f for f in (1, 1, 2, 6, 24)], jet, KEYS)
    wanted = derivatives(lambda y: value(y).exp(), y, KEYS)
    for alpha in KEYS:
        torch.testing.assert_close(derivative(square, alpha), expected[alpha])
        torch.testing.assert_close(derivative(exponential, alpha), wanted[alpha])
    assert set(square) == set(KEYS)
    missing = derivative({(0, 0): y}, (1, 0))
    assert missing.shape == y.shape
    assert missing.count_nonzero() == 0


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("activation", sorted(FUNCTIONS))
@pytest.mark.parametrize("orders", [[(1, 0)], [(2, 0), (1, 1)], [(3, 1)]])
def test_perceptrons_carry_derivatives(orders, activation, members):
    net, keys = Perceptron((2, 6, 5, 4), activation, members=members, activated=True).double(), below(orders)
    for bias in net.biases:
        torch.nn.init.normal_(bias)
    y = torch.randn(7, 2, dtype=torch.float64)
    rows = torch.eye(2, dtype=torch.float64)
    places = {(0, 0): y, (1, 0): rows[:1], (0, 1): rows[1:]}
    found = net.jet({alpha: u for alpha, u in places.items() if alpha in keys}, keys)
    expected = derivatives(net, y, keys)
    for alpha in keys:
        torch.testing.assert_close(derivative(found, alpha), expected[alpha], msg=str(alpha))
