"""Branches: what reads a field."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.branch import Attentive, Convolutional, Dense, Spectral
from pdeops.nn.perceptron import Perceptron

GRID = Grid([Axis("x", 16), Axis("y", 17, nodes="uniform")])
SPECS = [
    Dense((8,)),
    Dense((8,), stacked=True),
    Convolutional((4, 6), 3, 2, (8,)),
    Spectral(8, 4, 2, 8),
    Attentive(8, 2, 2, 8, 8),
]


@pytest.mark.parametrize("spec", SPECS)
def test_members_are_networks_of_their_own(spec):
    torch.manual_seed(0)
    net, a = spec.build(2, GRID, 5, members=3), torch.randn(4, 2, 16, 17)
    one = spec.build(2, GRID, 5)
    assert one(a).shape == (4, 5)
    assert sum(p.numel() for p in net.parameters()) == 3 * sum(p.numel() for p in one.parameters())
    b = net(a)
    assert b.shape == (4, 15)
    first, second, third = b.split(5, 1)
    assert min((first - second).abs().min(), (second - third).abs().min()) > 0


def test_a_stacked_branch_is_a_network_for_each_feature():
    """p (m h + h + h + 1) parameters, as in the figure."""
    net = Dense((8,), stacked=True).build(2, GRID, 5)
    assert sum(p.numel() for p in net.parameters()) == 5 * (544 * 8 + 8 + 8 + 1)
    (chain,) = (m for m in net.modules() if isinstance(m, Perceptron))
    assert (chain.members, chain.weights[-1].shape[-1]) == (5, 1)


def test_the_last_layer_is_linear():
    for spec in SPECS:
        b = spec.build(2, GRID, 400)(torch.randn(9, 2, 16, 17))
        assert 0.2 < (b < 0).float().mean() < 0.8


def test_a_spectral_branch_converges_as_nodes_become_more():
    """The mean over the domain by quadrature weights, on Chebyshev points by theirs; a field that all lattices hold."""
    for axis in (Axis("x", 16), Axis("x", 17, nodes="chebyshev"), Axis("x", 16, nodes="cell")):
        torch.manual_seed(0)
        net = Spectral(8, 4, 1, 8).build(1, Grid([axis]), 5).double()
        if axis.nodes == "chebyshev":  # its Fourier layers go by indices: without them
            net[0].layers = torch.nn.Sequential()
        values = []
        for n in (64, 128, 1024):
            x = axis.resized(n).points()
            values.append(net((2 * torch.pi * x).sin().view(1, 1, -1)))
        first, second = ((v - values[-1]).norm() / values[-1].norm() for v in values[:2])
        assert second < 1e-5 or second < first / 2, (axis.nodes, first, second)


@pytest.mark.parametrize("nodes", ["uniform", "chebyshev", "cell"])
def test_an_attentive_branch_converges_as_nodes_become_more(nodes):
    """Both its integrals, within attention and at the end, are by quadrature: second order, or better."""
    torch.manual_seed(0)
    axis = Axis("x", 17, 2.0, nodes, -1.0)
    net = Attentive(8, 2, 2, 16, 8).build(1, Grid([axis]), 5).double()
    values = []
    for n in (16, 32, 512):
        x = axis.resized(n + (nodes != "cell")).points()
        values.append(net((3 * x).sin().exp().view(1, 1, -1)))
    first, second = ((v - values[-1]).norm() / values[-1].norm() for v in values[:2])
    assert second < 1e-9 or first / second > 3.5, (first, second)


def test_an_attentive_branch_without_coordinates_is_one_of_sets():
    """Nodes and their places may be permuted together: attention and mean know no order."""
    torch.manual_seed(0)
    net = Attentive(8, 2, 1, 16, 8).build(1, Grid([Axis("x", 9)]), 5)
    a = torch.randn(2, 1, 9)
    with torch.no_grad():
        net[0].lifting[0].weight[:, -1] = 0  # the column of the coordinate
    torch.testing.assert_close(net(a.flip(-1)), net(a))


def test_convolutions_leave_what_they_leave():
    """29 -> 13 -> 5 nodes per axis."""
    net = Convolutional().build(1, Grid.periodic((29, 29)), 128)
    assert next(net.parameters()).shape == (64, 1, 5, 5)
    assert net[0].head.weights[0].shape == (3200, 128)


@pytest.mark.parametrize("d", [1, 3])
def test_convolutions_along_any_axes(d):
    assert Convolutional((4,), 3, 2).build(2, Grid.periodic((9,) * d), 5)(torch.randn(3, 2, *(9,) * d)).shape == (3, 5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Convolutional().build(1, Grid.periodic((12, 12)), 5), "leave no node of 12 x 12"),
        (lambda: Convolutional(channels=[]), r"model.branch.channels=\[\]"),
        (lambda: Convolutional(kernel=0), "model.branch.kernel=0"),
        (lambda: Convolutional().build(1, Grid([Axis(n, 9) for n in "wxyz"]), 5), "works on 1 to 3 axes"),
        (lambda: Dense(widths=[0]), r"model.branch.widths=\[0\]"),
        (lambda: Attentive(width=0), "model.branch.width=0"),
        (lambda: Attentive(heads=3), "model.branch.heads=3: wanted a divisor of model.branch.width=32"),
        (lambda: Spectral(width=0), "model.branch.width=0"),
        (lambda: Spectral(modes=[4, 4, 4]).build(1, GRID, 5), r"model.branch.modes=\[4, 4, 4\]; wanted one or 2"),
        (lambda: Spectral(modes=0).build(1, GRID, 5), "wanted at least one mode per axis"),
    ],
)
def test_what_does_not_fit_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
