"""Fields on other lattices of the same axes."""

from math import pi

import pytest
import torch

from pdeops.grid import Axis, Grid
from pdeops.nn import resample
from pdeops.nn.resample import onto_points, resampled

MIXED = Grid([Axis("x", 16), Axis("y", 17, nodes="uniform"), Axis("z", 8, nodes="cell")])


def field(grid):
    x, y, z = grid.points().unbind(-1)
    return ((2 * pi * x).sin() * (1 + y - y**3) * (2 - z**2 + z)).unsqueeze(0).unsqueeze(-1)


@pytest.mark.parametrize("n", [(16, 33, 8), (24, 17, 16), (9, 9, 5), (32, 20, 11)])
def test_series_and_polynomials_are_exact(n):
    """A harmonic on the periodic axis, cubics on the walls: through four nodes."""
    torch.testing.assert_close(resampled(field(MIXED), MIXED, n, 4), field(MIXED.resized(n)), rtol=1e-10, atol=1e-10)


def test_linear_keeps_a_jump_and_what_stands_on_nodes():
    grid = Grid([Axis("x", 9, nodes="uniform")])
    jump = (grid.points() > 0.55).double().view(1, 9, 1)
    assert torch.equal(resampled(jump, grid, (5,), 2), jump[:, ::2])
    fine = resampled(jump, grid, (17,), 2)
    assert torch.equal(fine[:, ::2], jump)
    assert fine.min() == 0
    assert fine.max() == 1
    assert resampled(jump, grid, (17,), 4).max() > 1  # cubics ring


def test_channels_and_samples_stay_apart():
    v = torch.randn(3, 16, 17, 8, 2, dtype=torch.float64)
    u = resampled(v, MIXED, (20, 9, 12), 4)
    one = resampled(v[1:2, ..., 1:], MIXED, (20, 9, 12), 4)
    torch.testing.assert_close(u[1:2, ..., 1:], one)
    assert resampled(v, MIXED, (16, 17, 8), 4) is v


def test_at_points_series_and_polynomials_are_exact(monkeypatch):
    v, y = torch.cat([field(MIXED), 2 * field(MIXED)], -1), torch.rand(50, 3, dtype=torch.float64)
    values = onto_points(v, MIXED, y, 4)
    p, q, r = y.unbind(-1)
    expected = (2 * pi * p).sin() * (1 + q - q**3) * (2 - r**2 + r)
    torch.testing.assert_close(values, torch.stack([expected, 2 * expected], -1).unsqueeze(0), rtol=1e-10, atol=1e-10)
    monkeypatch.setattr(resample, "ENTRIES", 1000)
    torch.testing.assert_close(onto_points(v, MIXED, y, 4), values)


def test_at_points_is_the_resampled_field_on_a_lattice():
    v, n = torch.randn(2, 16, 17, 8, 3, dtype=torch.float64), (24, 9, 12)
    y = MIXED.resized(n).points().flatten(0, -2)
    lattice = resampled(v, MIXED, n, 4).flatten(1, -2)
    torch.testing.assert_close(onto_points(v, MIXED, y, 4), lattice, rtol=1e-10, atol=1e-10)
