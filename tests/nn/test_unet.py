import pytest
import torch
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.nn.unet import UNet


def test_three_levels_written_down():
    torch.manual_seed(0)
    net, v = UNet(2, 4, levels=3, norm="batch").double(), torch.randn(2, 4, 10, 8, dtype=torch.float64)

    def twice(part, x):
        for i in (0, 3):
            x = F.conv2d(x, part[i].weight, padding=1)
            x = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
            x = (x * part[i + 1].weight.view(-1, 1, 1) + part[i + 1].bias.view(-1, 1, 1)).clamp(min=0)
        return x

    def finer(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)

    a = twice(net.down[0], F.pad(v, [0, 0, 0, 2]))
    b = twice(net.down[1], F.max_pool2d(a, 2))
    c = twice(net.down[2], F.max_pool2d(b, 2))
    u = twice(net.up[1], torch.cat([b, finer(c)], 1))
    u = twice(net.up[0], torch.cat([a, finer(u)], 1))
    torch.testing.assert_close(net(v), u[:, :, :10])
    assert net.widths == (4, 8, 8)


@pytest.mark.parametrize(("norm", "groups"), [("group", 4), ("instance", 8)])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_two_levels_in_any_dimension(d, norm, groups):
    torch.manual_seed(0)
    net, v = UNet(d, 8, levels=2, norm=norm).double(), torch.randn(2, 8, *(6, 4, 8)[:d], dtype=torch.float64)

    def twice(part, x):
        for i in (0, 3):
            x = getattr(F, f"conv{d}d")(x, part[i].weight, padding=1)
            x = F.group_norm(x, groups, part[i + 1].weight, part[i + 1].bias).clamp(min=0)
        return x

    a = twice(net.down[0], v)
    b = twice(net.down[1], getattr(F, f"max_pool{d}d")(a, 2))
    finer = F.interpolate(b, scale_factor=2, mode=("linear", "bilinear", "trilinear")[d - 1], align_corners=True)
    torch.testing.assert_close(net(v), twice(net.up[0], torch.cat([a, finer], 1)))


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_norms_of_a_sample_alone(norm):
    torch.manual_seed(0)
    net, v = UNet(1, 8, levels=3, norm=norm), torch.randn(4, 8, 21)
    torch.testing.assert_close(net(v)[1:2], net(v[1:2]))
    assert not list(net.buffers())


def test_channels_come_last_in_memory():
    for ndim, layout in ((2, torch.channels_last), (3, torch.channels_last_3d)):
        seen, net = [], UNet(ndim, 8, levels=2)
        net.across[0].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        net(torch.randn(2, 8, *(6,) * ndim))
        assert seen[0].is_contiguous(memory_format=layout)


def test_a_single_number_has_no_norm():
    v = torch.randn(2, 8, 9, 16)
    with pytest.raises(InputError, match=r"9 x 16 nodes is one node on the coarsest of 5 levels.*norm=instance"):
        UNet(2, 8, norm="instance")(v)
    with pytest.raises(InputError, match=r"norm=batch leaves nothing"):
        UNet(2, 8, norm="batch")(v[:1])
    assert UNet(2, 8, norm="batch")(v).shape == v.shape
    assert UNet(2, 8, norm="batch").eval()(v[:1]).shape == (1, 8, 9, 16)
    assert UNet(2, 8)(v[:1]).shape == (1, 8, 9, 16)


def test_bad_sizes_are_refused():
    with pytest.raises(InputError, match=r"model\.norm='layer'"):
        UNet(2, 8, norm="layer")
    with pytest.raises(InputError, match=r"model\.levels=1: wanted"):
        UNet(2, 8, levels=1)
    with pytest.raises(InputError, match=r"model\.width=6 is no multiple of 4"):
        UNet(2, 6)
