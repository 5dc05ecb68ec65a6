"""What is asked of the LSM and the U-Net; thuml's LSM stands in test_lsm_weights."""

from math import pi

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.lsm import LSM
from pdeops.models.unet import UNet
from pdeops.nn.resample import INWARD, resampled


def grid(*n, nodes="uniform"):
    return Grid(Axis(name, k, nodes=nodes) for name, k in zip("xyz", n, strict=False))


def small(*n, cls=LSM, nodes="uniform", **options):
    torch.manual_seed(0)
    return cls(2, 1, grid(*n, nodes=nodes), grid(*n, nodes=nodes), width=8, projection=16, **options)


def check_gradients(model, u):
    u.square().mean().backward()
    for name, p in model.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.count_nonzero() > 0, name
        p.grad = None


def test_builds_and_runs_without_a_device():
    with torch.device("meta"):
        model = small(33, 20)
        assert model(torch.randn(2, 2, 33, 20)).shape == (2, 1, 33, 20)
    assert all(p.is_meta for p in model.parameters())
    assert not list(model.buffers())


@pytest.mark.parametrize(("resolution", "sizes"), [("native", range(17, 258)), ("resample", (17, 63, 64, 100, 257))])
def test_every_size_in_one_dimension(resolution, sizes):
    model = small(64, resolution=resolution)
    for n in sizes:
        u = model(torch.randn(1, 2, n))
        assert u.shape == (1, 1, n)
        check_gradients(model, u)


@pytest.mark.parametrize(
    "n", [(32, 32), (85, 85), (96, 96), (100, 100), (211, 211), (221, 51), (17, 257), (221, 48), (64, 51), (20, 18, 33)]
)
def test_any_size_keeps_its_shape(n):
    """Also with padding on one axis alone (221 x 48, 64 x 51)."""
    model = small(*n, resolution="native")
    u = model(torch.randn(1, 2, *n))
    assert u.shape == (1, 1, *n)
    check_gradients(model, u)


def test_blocks_are_those_asked_for():
    model = small(32, 32, heads=4, tokens=3, basis=5, scaled=True)
    for block, patches in zip(model.trunk.across, (16, 8, 4, 2, 1), strict=True):
        assert (block.patches, block.heads, block.basis, block.scaled) == (patches, 4, 5, True)
        assert block.tokens.shape[:2] == (4, 3)


def test_no_weight_is_dead_whatever_the_norm():
    for norm in ("batch", "instance", "group"):
        model = small(40, 36, norm=norm)
        check_gradients(model, model(torch.randn(2, 2, 40, 36)))


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
def test_evaluation_changes_nothing(norm):
    """No buffer; and a sample's output does not depend on the others. A last batch may be smaller."""
    model, a = small(32, 24, norm=norm), torch.randn(7, 2, 32, 24)
    model(a)
    model.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        whole, parts = model(a), torch.cat([model(a[:4]), model(a[4:]), model(a[:0])])
    torch.testing.assert_close(whole, parts, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_rollouts_are_safe_by_default():
    """In training and in evaluation the same function: no statistics of other samples or times."""
    model, a = small(32, 32), torch.randn(2, 2, 32, 32)
    assert torch.equal(model(a), model.eval()(a))


def waves(g):
    x, y = (2 * pi * p for p in g.points().unbind(-1))
    return torch.stack([torch.sin(x) * torch.cos(2 * y), torch.cos(3 * x - y) + 0.5])[None].float()


@pytest.mark.parametrize(
    ("nodes", "n", "factor"),
    [("periodic", (32, 48), 2), ("uniform", (33, 17), 4), ("cell", (16, 20), 3), ("right", (32, 20), 2)],
)
@pytest.mark.parametrize("cls", [LSM, UNet])
def test_other_resolutions_go_through_the_trained_one(cls, nodes, n, factor):
    """Where a finer lattice has the trained one's nodes, values there are the trained one's; what lies between does not
    matter but on tori, and a coarser lattice is what its interpolation is."""
    own = grid(*n, nodes=nodes)
    finer, coarser = (own.resized([resized(axis, f) for axis in own]) for f in (factor, 0.5))
    assert finer.every(factor)
    model = small(*n, cls=cls, nodes=nodes).eval()
    b = waves(finer)
    u = model(b[finer.every(factor)])
    torch.testing.assert_close(model(b)[finer.every(factor)], u, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(model(b[finer.every(factor)], out=finer)[finer.every(factor)], u, rtol=1e-3, atol=1e-4)
    c = waves(coarser)
    through = model(resampled(c.movedim(1, -1), own, n, INWARD).movedim(-1, 1), out=coarser)
    torch.testing.assert_close(model(c), through, rtol=1e-3, atol=1e-4)


def resized(axis, factor):
    ends = 1 if axis.nodes == "uniform" else 0
    return round((axis.n - ends) * factor) + ends


def test_native_runs_on_the_nodes_of_the_input():
    """Other numbers of nodes are another operator, with the same patches of the domain; on its own it is the same."""
    native, through = (small(32, 32, nodes="periodic", resolution=r).eval() for r in ("native", "resample"))
    a, b = waves(grid(32, 32, nodes="periodic")), waves(grid(64, 64, nodes="periodic"))
    assert torch.equal(native(a), through(a))
    assert (native(b) - through(b)).norm() > 1e-2 * through(b).norm()
    fine = small(64, 64, nodes="periodic", resolution="native").eval()
    assert torch.equal(native(b), fine(b))


@pytest.mark.parametrize(
    ("resolution", "way"), [("native", "a shorter way"), ("resample", "interpolated to 40 x 36 nodes and back")]
)
def test_it_says_which_way_it_takes(resolution, way):
    model = small(40, 36, resolution=resolution)
    said = model.told((37, 80))
    assert said.startswith(f"LSM, trained on 40 x 36 nodes, takes 37 x 80 by resolution={resolution}: ")
    assert way in said
    assert model.told((40, 36)) is None


def test_another_output_grid():
    own = grid(32, 32, nodes="cell")
    model = LSM(2, 1, own, own.resized((64, 48)), width=8)
    assert model(torch.randn(1, 2, 32, 32)).shape == (1, 1, 64, 48)
    assert model(torch.randn(1, 2, 16, 64)).shape == (1, 1, 32, 96)
    assert model(torch.randn(1, 2, 32, 32), own.resized((20, 30))).shape == (1, 1, 20, 30)
    with pytest.raises(InputError, match="is not this LSM's output grid"):
        model(torch.randn(1, 2, 32, 32), grid(32, 32))


def test_bad_options_are_refused():
    for options, message in (
        ({"resolution": "nearest"}, r"model\.resolution='nearest'; wanted one of \('native', 'resample'\)"),
        ({"projection": 0}, r"model\.projection=0: wanted at least 1"),
        ({"heads": 3}, r"model\.heads=3 do not divide model\.width=8"),
        ({"norm": "none"}, r"model\.norm='none'; wanted one of"),
        ({"levels": 0}, r"model\.levels=0"),
        ({"levels": 8}, r"model\.levels=8: wanted 2 to \d on"),
        ({"width": -4}, r"model\.width=-4: wanted at least 1"),
    ):
        with pytest.raises(InputError, match=message):
            LSM(1, 1, grid(32), grid(32), **({"width": 8} | options))
    with pytest.raises(InputError, match="LSM keeps its axes"):
        LSM(1, 1, grid(32), grid(32, 32))
    four = Grid([Axis("time", 4, nodes="right"), *grid(8, 8, 8)])
    with pytest.raises(InputError, match="UNet works on 1 to 3 axes; this grid has 4"):
        UNet(1, 1, four, four)


def test_compiled_and_exported_whole():
    model, a = small(40, levels=3).eval(), torch.randn(2, 2, 40)
    u = model(a)
    graph = torch.compile(model, backend="aot_eager", fullgraph=True)(a)
    graph.square().sum().backward()
    torch.testing.assert_close(graph, u)
    torch.testing.assert_close(torch.export.export(model, (a,)).module()(a), u)


def test_exported_for_batches_of_any_size():
    model, batch = small(20, 18, levels=3).eval(), torch.export.Dim("batch", min=2, max=64)
    graph = torch.export.export(model, (torch.randn(2, 2, 20, 18),), dynamic_shapes=({0: batch},)).module()
    a = torch.randn(5, 2, 20, 18)
    torch.testing.assert_close(graph(a), model(a))
