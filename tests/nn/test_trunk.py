"""Trunks: functions of the place."""

import pytest
import torch
from torch import nn

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.jets import below, derivative
from pdeops.nn.trunk import Dense, jet

BOX = Grid([Axis("x", 8, length=3.0, start=-1.0), Axis("y", 9, 2.0, "uniform", 5.0)])


def places(*shape):
    return torch.tensor([-1.0, 5.0]) + torch.tensor([3.0, 2.0]) * torch.rand(*shape, 2)


def test_members_are_networks_of_their_own():
    torch.manual_seed(0)
    net, one = Dense((8,)).build(BOX, 5, members=3), Dense((8,)).build(BOX, 5)
    assert sum(p.numel() for p in net.parameters()) == 3 * sum(p.numel() for p in one.parameters())
    assert net(places(4, 7)).shape == (4, 7, 15)
    assert one(places(7)).shape == (7, 5)


@pytest.mark.parametrize("shape", [(7,), (3, 4)])
def test_any_network_has_derivatives(shape):
    """By forward differentiation, where it does not carry them itself."""
    net, y, keys = Dense((8,), "tanh").build(BOX, 5).double(), places(*shape).double(), below([(2, 1)])
    own, others = jet(net, y, keys), jet(nn.Sequential(net), y, keys)
    for alpha in keys:
        torch.testing.assert_close(derivative(own, alpha), derivative(others, alpha))


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match=r"model.trunk.harmonics=-1: wanted at least 0"):
        Dense(harmonics=-1)
    with pytest.raises(InputError, match=r"model.trunk.widths=\[0\]"):
        Dense(widths=[0])
