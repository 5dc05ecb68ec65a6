"""Values at points: orders of convergence, nodes, wraps, scattered neighbours."""

from math import pi

import pytest
import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.at_points import at_points, nearby


def field(x):
    """Periodic in the first coordinate alone."""
    return ((2 * pi * x[..., 0] + 0.3).sin() * (x[..., 1] ** 2 + x[..., 1]).exp()).unsqueeze(-1)


def grid(n, nodes):
    return Grid([Axis("x", n), Axis("y", n + (nodes == "uniform"), length=0.5, nodes=nodes, start=0.25)])


def places(*shape):
    return torch.rand(*shape, 2, dtype=torch.float64) * torch.tensor([1.0, 0.5]) + torch.tensor([0.0, 0.25])


@pytest.mark.parametrize("nodes", ["cell", "uniform", "left", "chebyshev"])
@pytest.mark.parametrize("order", [2, 4])
def test_errors_fall_as_the_order_says(nodes, order):
    x = places(400)

    def error(n):
        g = grid(n, nodes)
        return (at_points(field(g.points()).unsqueeze(0), g, x, order) - field(x)).abs().max()

    assert order - 0.35 < torch.log2(error(24) / error(96)) / 2 < order + 0.6


@pytest.mark.parametrize("nodes", ["cell", "uniform", "right", "chebyshev"])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_nodes_have_their_values(nodes, order):
    g = grid(7, nodes)
    v = torch.randn(2, *g.shape, 3, dtype=torch.float64)
    torch.testing.assert_close(at_points(v, g, g.points().flatten(0, 1), order), v.flatten(1, 2))


def test_both_ends_of_a_period_are_one_place_and_samples_have_their_own_places():
    g, x = grid(5, "cell"), places(2, 6)
    v = torch.randn(2, *g.shape, 3, dtype=torch.float64)
    y = x.clone()
    y[..., 0] = 1 + 1e-13
    z = x.clone()
    z[..., 0] = 1e-13
    torch.testing.assert_close(at_points(v, g, y, 4), at_points(v, g, z, 4))
    one = torch.cat([at_points(v[i : i + 1], g, x[i], 4) for i in range(2)])
    torch.testing.assert_close(at_points(v, g, x, 4), one)


def test_gradients():
    g = grid(5, "uniform")
    v, x = torch.randn(2, *g.shape, 1, dtype=torch.float64), places(4)
    inputs = v.requires_grad_(), x.requires_grad_()
    assert torch.autograd.gradcheck(lambda v, x: at_points(v, g, x, 4), inputs)
    scattered = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True), places(2, 9), places(2, 4)
    assert torch.autograd.gradcheck(
        lambda v, x, to: nearby(v, x, None, to), [t.detach().requires_grad_() for t in scattered]
    )


def test_scattered_points_have_their_values_and_masked_ones_do_not_count():
    v, x = torch.randn(2, 40, 3), torch.rand(2, 40, 2)
    torch.testing.assert_close(nearby(v, x, None, x), v, atol=1e-5, rtol=0)
    here = torch.arange(40).expand(2, -1) < 30
    to = torch.rand(2, 9, 2)
    torch.testing.assert_close(nearby(v, x, here, to), nearby(v[:, :30], x[:, :30], None, to))
    few = here & (torch.arange(40) < 2)  # fewer than are asked for
    torch.testing.assert_close(nearby(v, x, few, x[:, :2]), v[:, :2], atol=1e-5, rtol=0)
    assert nearby(v, torch.ones(1, 40, 2), None, to).isfinite().all()  # all as far


def test_values_between_scattered_points_are_continuous():
    v, x = torch.randn(1, 40, 1, dtype=torch.float64), torch.rand(1, 40, 2, dtype=torch.float64)
    way = torch.linspace(0, 1, 4001, dtype=torch.float64).view(1, -1, 1) * torch.tensor([1.0, 0.7])
    assert nearby(v, x, None, way).diff(dim=1).abs().max() < 0.05  # jumps, where neighbours change, would be of 0.1


def test_circles_have_no_seam():
    """Translated as the points are, and both ends of a period are one place; the other axis is a line."""
    v, x, to = torch.randn(1, 40, 1).double(), torch.rand(1, 40, 2).double(), torch.rand(1, 30, 2).double()
    there = nearby(v, x, None, to, (True, False))
    for shift in (0.3, 0.8):
        moved = [(y + y.new_tensor([shift, 0.2])).remainder(y.new_tensor([1, 9])) for y in (x, to)]
        torch.testing.assert_close(nearby(v, moved[0], None, moved[1], (True, False)), there, atol=1e-9, rtol=0)
    ends = torch.cat([to, to]) * torch.tensor([0.0, 1.0]) + torch.tensor([0.0, 1.0]).view(2, 1, 1) * torch.eye(2)[0]
    low, high = nearby(v.expand(2, -1, -1), x, None, ends, (True, False))
    torch.testing.assert_close(low, high, atol=1e-9, rtol=0)
    close = torch.rand(1, 5, 2).double() / 1000  # where chords are arcs
    flat = nearby(v[:, :5], close, None, to / 1000)
    torch.testing.assert_close(nearby(v[:, :5], close, None, to / 1000, (True, True)), flat, atol=1e-4, rtol=0)


def test_scattered_values_converge():
    to = places(1, 50)

    def error(n):
        torch.manual_seed(1)
        x = places(1, n)
        return (nearby(field(x), x, None, to) - field(to)).square().mean().sqrt()

    assert 2 < error(400) / error(6400) < 8  # of first order: 4, the root of 16
