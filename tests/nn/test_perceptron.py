"""Perceptrons side by side."""

import math

import pytest
import torch
from torch import nn

from pdeops.errors import InputError
from pdeops.nn.perceptron import Perceptron, check_layers


@pytest.mark.parametrize("activated", [True, False])
@pytest.mark.parametrize(("name", "layer"), [("relu", nn.ReLU), ("tanh", nn.Tanh), ("elu", nn.ELU), ("gelu", nn.GELU)])
def test_one_is_a_chain_of_layers(name, layer, activated):
    net = Perceptron((3, 8, 5, 2), name, activated=activated)
    chain = []
    for weight, bias in zip(net.weights, net.biases, strict=True):
        nn.init.normal_(bias)
        linear = nn.Linear(*weight.shape)
        linear.weight.data, linear.bias.data = weight.mT, bias[0]
        chain += [linear, layer()]
    x = torch.randn(4, 7, 3)
    torch.testing.assert_close(net(x), nn.Sequential(*(chain if activated else chain[:-1]))(x))


def test_several_are_each_alone():
    net, x = Perceptron((3, 8, 2), "tanh", members=4), torch.randn(5, 6, 3)
    for bias in net.biases:
        nn.init.normal_(bias)
    for i in range(4):
        one = Perceptron((3, 8, 2), "tanh")
        one.load_state_dict({key: value[i] for key, value in net.state_dict().items()})
        torch.testing.assert_close(net(x)[..., 2 * i : 2 * i + 2], one(x))
    torch.testing.assert_close(net(x[0]), net(x)[0])


def test_weights_start_by_glorot():
    net = Perceptron((300, 500, 200), "relu", members=2)
    for weight, (n, m) in zip(net.weights, [(300, 500), (500, 200)], strict=True):
        assert weight.std().item() == pytest.approx(math.sqrt(2 / (n + m)), rel=0.02)
        assert abs(weight.mean()) < 1e-3
        assert not torch.equal(weight[0], weight[1])
    assert all(bias.count_nonzero() == 0 for bias in net.biases)


def test_wrong_layers_are_refused():
    with pytest.raises(InputError, match=r"model.branch.widths=\[4, 0\]: wanted at least 1"):
        check_layers("model.branch", [4, 0], "relu")
    with pytest.raises(InputError, match=r"model.trunk.activation='swish'; wanted one of"):
        check_layers("model.trunk", [4], "swish")
