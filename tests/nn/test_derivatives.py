"""Derivatives by the place, forwards."""

import torch

from pdeops.nn.derivatives import derivatives


def function(y):
    """(..., 2) -> (2, ...): a wave, and a polynomial."""
    x, t = y.unbind(-1)
    return torch.stack([(2 * x).sin() * (3 * t).exp(), x**3 * t**2])


def test_closed_forms_at_shared_and_own_places():
    for shape in ((6, 2), (4, 6, 2)):
        y = torch.rand(shape, dtype=torch.float64)
        x, t = y.unbind(-1)
        found = derivatives(function, y, [(0, 0), (1, 0), (0, 2), (1, 1), (3, 1)])
        assert set(found) == {(0, 0), (1, 0), (0, 2), (1, 1), (3, 1)}
        e, s, c = (3 * t).exp(), (2 * x).sin(), (2 * x).cos()
        for alpha, expected in {
            (0, 0): (s * e, x**3 * t**2),
            (1, 0): (2 * c * e, 3 * x**2 * t**2),
            (0, 2): (9 * s * e, 2 * x**3),
            (1, 1): (6 * c * e, 6 * x**2 * t),
            (3, 1): (-24 * c * e, 12 * t),
        }.items():
            torch.testing.assert_close(found[alpha], torch.stack(expected))


def test_what_is_on_the_way_is_not_taken_again():
    calls = []

    def counted(y):
        calls.append(y)
        return function(y)

    derivatives(counted, torch.rand(3, 2), [(0, 0), (0, 1), (0, 2)])
    assert len(calls) == 1
