"""The transformer between local moments: one operator on any lattice and at scattered points."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.latent_transformer import LatentTransformer
from pdeops.points import Points
from tests.models.cases import check_half, check_transforms

SIZES = {"width": 6, "patches": 3, "moments": 3, "latent": 16, "heads": 4, "depth": 2, "hidden": 24, "projection": 12}


def grid(n, nodes="cell", m=None):
    return Grid([Axis("x", n, length=2.0, nodes=nodes, start=-1.0), Axis("y", m or n, nodes=nodes)])


def model(g, **changes):
    torch.manual_seed(0)
    return LatentTransformer(2, 1, g, g, **(SIZES | changes)).double()


def field(g):
    """Of period 2 in x and 1 in y."""
    x, y = g.points().unbind(-1)
    return torch.stack([(pi * x).sin() * (2 * pi * y).cos(), (pi * (x + 2 * y)).cos().exp()]).unsqueeze(0)


@pytest.mark.parametrize("nodes", ["cell", "uniform", "periodic"])
def test_the_operator_converges_with_the_lattice(nodes):
    """Of second order, compared where coarse and fine nodes coincide, untrained."""
    extra = nodes == "uniform"
    net = model(grid(24 + extra, nodes))

    def u(n):
        g = grid(n + extra, nodes)
        axes = g.every(n // 24)
        return net(field(g))[axes]

    exact = u(24 * 27)
    coarse, fine = ((u(n) - exact).norm() for n in (24, 72))
    assert torch.log(coarse / fine) / torch.log(torch.tensor(3.0)) > 1.9


def test_a_grid_is_the_points_of_its_nodes():
    g = grid(9, "uniform", m=12)
    net, a = model(g), torch.randn(2, 2, 9, 12, dtype=torch.float64)
    points = Points(g.points().flatten(0, 1), g.weights().flatten())
    torch.testing.assert_close(net.at(a.flatten(2), points), net(a).flatten(2))


@pytest.mark.parametrize("nodes", ["cell", "periodic"])
def test_places_between_nodes_are_served_and_nodes_have_their_values(nodes):
    g = grid(10, nodes)
    net, a = model(g), torch.randn(2, 2, 10, 10, dtype=torch.float64)
    u = net(a)
    torch.testing.assert_close(net(a, g.points().flatten(0, 1)), u.flatten(2))
    torch.testing.assert_close(net(a, g), u)
    finer = g.resized((30, 30))
    torch.testing.assert_close(net(a, finer)[finer.every(3)], u)
    torch.testing.assert_close(net(a, finer.points().flatten(0, 1)).view(2, 1, 30, 30), net(a, finer))


def test_the_tokens_do_not_know_the_order_of_samples_nor_who_fills_up():
    net = model(grid(8))
    x = torch.rand(2, 50, 2, dtype=torch.float64) * torch.tensor([2.0, 1.0]) - torch.tensor([1.0, 0.0])
    a = torch.randn(2, 2, 50, dtype=torch.float64)
    mask = torch.arange(50) < torch.tensor([[50], [37]])
    u = net.at(a, Points(x, mask=mask))
    torch.testing.assert_close(u[1:, :, :37], net.at(a[1:, :, :37], Points(x[1:, :37])))
    assert not u[1, :, 37:].any()
    order = torch.randperm(37)
    torch.testing.assert_close(net.at(a[1:, :, order], Points(x[1:, order])), u[1:, :, order])


def test_a_sample_twice_at_half_its_weight_is_one():
    net, x = model(grid(8)), torch.rand(40, 2, dtype=torch.float64)
    a, w = torch.randn(1, 2, 40, dtype=torch.float64), torch.rand(40, dtype=torch.float64) + 0.1
    twice = Points(torch.cat([x, x[:5]]), torch.cat([w[:5] / 2, w[5:], w[:5] / 2]))
    torch.testing.assert_close(net.at(torch.cat([a, a[..., :5]], -1), twice)[..., :40], net.at(a, Points(x, w)))


def test_other_places_of_scattered_samples():
    net, x = model(grid(8)), torch.rand(60, 2, dtype=torch.float64)
    a = torch.randn(1, 2, 60, dtype=torch.float64)
    u = net.at(a, Points(x))
    torch.testing.assert_close(net.at(a, Points(x), Points(x[:7])), u[..., :7])


def test_a_torus_needs_two_windows():
    with pytest.raises(InputError, match=r"model.patches=\[1, 3\]: wanted 2 or more on x"):
        model(grid(8, "periodic"), patches=[1, 3])
    with pytest.raises(InputError, match=r"model.patches=\[9, 9\]: more windows along x than its 8 nodes"):
        model(grid(8), patches=9)
    with pytest.raises(InputError, match=r"model.heads=5: wanted a divisor of model.latent=16"):
        model(grid(8), heads=5)


def test_transforms_of_functions_and_half_precision():
    net, a = model(grid(8, "uniform", m=6)), torch.randn(3, 2, 8, 6, dtype=torch.float64)
    check_transforms(net, a)
    check_half(net.float(), a.float())
