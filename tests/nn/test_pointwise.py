import torch
from torch.nn import functional

from pdeops.nn.mlp import MLP
from pdeops.nn.pointwise import GroupNorm, Pointwise


def test_a_linear_map_of_the_channels_with_its_gradients():
    layer, x = Pointwise(5, 3).double(), torch.randn(4, 6, 7, 5, dtype=torch.float64, requires_grad=True)
    g = torch.randn(4, 6, 7, 3, dtype=torch.float64)
    ours = torch.autograd.grad(layer(x), (x, layer.weight, layer.bias), g)
    theirs = torch.autograd.grad(functional.linear(x, layer.weight, layer.bias), (x, layer.weight, layer.bias), g)
    torch.testing.assert_close(layer(x), functional.linear(x, layer.weight, layer.bias))
    for u, v in zip(ours, theirs, strict=True):
        torch.testing.assert_close(u, v)
    assert Pointwise(5, 3, bias=False)(torch.randn(2, 4, 5)).shape == (2, 4, 3)


def test_group_norm_is_torchs_with_channels_last():
    norm, x = GroupNorm(4, 8).double(), torch.randn(3, 5, 6, 8, dtype=torch.float64) * 3 + 2
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    wanted = functional.group_norm(x.movedim(-1, 1), 4, norm.weight, norm.bias, norm.eps).movedim(1, -1)
    torch.testing.assert_close(norm(x), wanted)


def test_a_field_of_no_samples():
    assert MLP(3, 8, 2)(torch.randn(0, 4, 4, 3)).shape == (0, 4, 4, 2)


def test_group_norm_in_half_precision():
    x = 300 * torch.randn(2, 16, 16, 8) + 100  # squares overflow
    exact, half = GroupNorm(4, 8)(x), GroupNorm(4, 8).half()(x.half())
    assert (half.float() - exact).norm() < 2e-3 * exact.norm()
