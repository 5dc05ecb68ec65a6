"""DeepONet."""

import copy
from math import pi
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.deeponet import DeepONet
from pdeops.nn import branch, trunk
from pdeops.training import surrogate_on
from pdeops.window import Window

LINE = Grid([Axis("x", 12, nodes="uniform")])
RING = Grid([Axis("x", 12, length=3.0, start=-1.0)])
WALLED = Grid([Axis("time", 6, 2.0, "right"), Axis("x", 9, 0.7, "uniform", 0.1, bc="dirichlet")])


def small(grid_in=RING, grid_out=WALLED, channels=2, **options):
    torch.manual_seed(0)
    nets = {"branch": branch.Dense((8,), "tanh"), "trunk": trunk.Dense((8,), "tanh"), "features": 6}
    model = DeepONet(1, channels, grid_in, grid_out, **nets | options)
    nn.init.normal_(model.bias)
    return model


def sensors(n, nodes="uniform"):
    return Grid([Axis("x", n, nodes=nodes)])


PLANE = Grid([Axis("x", 29, nodes="uniform"), Axis("t", 29, nodes="uniform")])
TURNING = Grid([Axis("x", 29), Axis("t", 29, nodes="uniform")])
WIDE = {"branch": branch.Dense((128, 128)), "trunk": trunk.Dense((128, 128))}


@pytest.mark.parametrize(
    ("grids", "options", "parameters"),
    [
        ((sensors(100),) * 2, {"branch": branch.Dense((40,)), "trunk": trunk.Dense((40,)), "features": 40}, 7401),
        ((sensors(128, "periodic"),) * 2, WIDE | {"branch": branch.Dense((128,) * 3)}, 99713),
        ((PLANE,) * 2, {"branch": branch.Convolutional(), "trunk": trunk.Dense((128,) * 3)}, 682753),
        (
            (sensors(40), PLANE),
            {"branch": branch.Dense((512,)), "trunk": trunk.Dense((512, 512)), "features": 512},
            810497,
        ),
        ((sensors(50, "periodic"), TURNING), WIDE, 73345),
        ((sensors(50), PLANE), WIDE, 72961),
    ],
)
def test_published_networks_have_the_published_sizes(grids, options, parameters):
    """Of the original and the fair comparison's scripts, counted by running them."""
    assert sum(p.numel() for p in DeepONet(1, 1, *grids, **options).parameters()) == parameters


@pytest.mark.parametrize("outputs", ["independent", "split_both", "split_branch", "split_trunk"])
def test_outputs_as_in_loops_over_them(outputs):
    model, a, y = small(channels=3, outputs=outputs), torch.randn(4, 1, 12), torch.rand(5, 2) * 0.7 + 0.1
    b, t, u = model.branch_net(a), model.trunk_net(y), model(a, y)
    k = 2 if outputs == "split_both" else 6
    for o in range(3):
        bo = b if outputs == "split_trunk" else b[:, o * k : (o + 1) * k]
        to = t if outputs == "split_branch" else t[:, o * k : (o + 1) * k]
        torch.testing.assert_close(u[:, o], bo @ to.mT + model.bias[o], rtol=1e-6, atol=1e-6)


def test_the_trunk_ends_with_its_activation_and_the_branch_does_not():
    model = DeepONet(1, 1, LINE, LINE)
    y = torch.rand(50, 1)
    assert (model.trunk_net(y) >= 0).all()
    assert (model.branch_net(torch.randn(50, 1, 12)) < 0).any()


@pytest.mark.parametrize("outputs", ["independent", "split_both", "split_branch", "split_trunk"])
@pytest.mark.parametrize("walls", [False, True])
def test_shared_points_own_points_and_grids_coincide(outputs, walls):
    model, a = small(outputs=outputs, walls=walls), torch.randn(3, 1, 12)
    y = WALLED.points().flatten(0, -2).float()
    u = model(a)
    assert u.shape == (3, 2, 6, 9)
    torch.testing.assert_close(model(a, y), u.flatten(2))
    torch.testing.assert_close(model(a, y.expand(3, -1, -1)), u.flatten(2))
    own = torch.stack([y[torch.randperm(len(y))[:7]] for _ in range(3)])
    v = model(a, own)
    for i in range(3):
        torch.testing.assert_close(v[i : i + 1], model(a[i : i + 1], own[i]))
    fine = WALLED.resized((12, 17))
    torch.testing.assert_close(model(a, fine)[..., 1::2, ::2], u)


def test_frames_in_and_other_frames_out():
    """A window with time as an axis: its input ends where its output begins."""
    window = Window(2, 3, history="time").on(Grid([Axis("time", 9, 1.8, "left"), *RING]), "u", "")
    model, a = small(window.grid_in, window.grid_out, channels=1), torch.randn(4, 1, 2, 12)
    u = model(a)
    assert u.shape == (4, 1, 3, 12)
    last = torch.cat([torch.full((12, 1), 0.6), RING.points().float()], -1)
    torch.testing.assert_close(model(a, last), u[:, :, -1])
    with pytest.raises(InputError, match=r"'time' from -0.2 to -0.2; wanted \[0, 0.6\]"):
        model(a, last - torch.tensor([0.8, 0.0]))


def test_exactly_zero_at_walls():
    model, a = small(walls=True), torch.randn(3, 1, 12)
    u = model(a)
    assert u[..., [0, -1]].count_nonzero() == 0
    assert u[..., 1:-1].abs().min() > 0
    assert small(walls=False)(a)[..., [0, -1]].abs().min() > 0
    y = torch.tensor([[0.3, 0.1], [0.5, 0.8]])
    assert model(a, y).count_nonzero() == 0


def test_walls_multiply_the_sum_and_the_bias():
    model, a, y = small(walls=True), torch.randn(3, 1, 12), torch.tensor([[0.3, 0.275], [1.0, 0.45]])
    free = small(walls=False)
    free.load_state_dict(model.state_dict())
    torch.testing.assert_close(model(a, y), free(a, y) * torch.tensor([0.75, 1.0]))


def test_walls_are_zero_in_physical_units():
    grid = Grid([Axis("x", 12, nodes="uniform", bc="dirichlet")])
    statistics = torch.zeros(1), torch.ones(1), torch.ones(1), 2 * torch.ones(1)
    data = SimpleNamespace(window=Window().on(grid, "u", "a"), problem=None, channel_stats=lambda: statistics)
    target, a = "pdeops.models.deeponet.DeepONet", torch.randn(3, 1, 12)
    u = surrogate_on({"model": {"_target_": target, "walls": True}}, data, None).predict(a)
    assert u[..., [0, -1]].count_nonzero() == 0
    free = surrogate_on({"model": {"_target_": target}}, data, None)
    assert float(free.normalize_out.mean) == 1


def test_a_periodic_axis_is_periodic_and_no_harmonics_are_the_coordinate():
    a, y = torch.randn(3, 1, 12), torch.rand(5, 1)
    model = small(grid_out=RING, trunk=trunk.Dense((8,), "tanh", harmonics=2))
    torch.testing.assert_close(model(a, y + 3), model(a, y), rtol=1e-4, atol=1e-5)
    plain = small(grid_out=RING, trunk=trunk.Dense((8,), "tanh", harmonics=0))
    assert plain.trunk_net.net.weights[0].shape[0] == 1
    assert model.trunk_net.net.weights[0].shape[0] == 4


def test_places_a_period_apart_are_one_also_without_harmonics():
    model, a = small(grid_out=RING, trunk=trunk.Dense((8,), "tanh", harmonics=0)), torch.randn(2, 1, 12)
    x = torch.tensor([[-1.0], [-0.25], [1.5]])
    for periods in (-2, 1):
        torch.testing.assert_close(model(a, x + 3 * periods), model(a, x))
    for near, far in zip(*(model.derivatives(a, y, [(0,), (1,), (2,)]) for y in (x, x + 3)), strict=True):
        torch.testing.assert_close(near, far)


def test_places_are_parts_of_the_domain():
    unit = Grid([Axis("time", 6, nodes="right"), Axis("x", 9, nodes="uniform", bc="dirichlet")])
    model, a, s = small(walls=True), torch.randn(3, 1, 12), torch.rand(5, 2)
    other = small(grid_out=unit, walls=True)
    y = s * torch.tensor([2.0, 0.7]) + torch.tensor([0.0, 0.1])
    torch.testing.assert_close(model(a, y), other(a, s), rtol=1e-4, atol=1e-5)


ORDERS = [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (2, 0)]


@pytest.mark.parametrize("outputs", ["independent", "split_trunk"])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("walls", [False, True])
@pytest.mark.parametrize("periodic", [False, True])
def test_derivatives_are_those_of_autograd(walls, own, outputs, periodic):
    """By reverse differentiation in the coordinates, in units that are no unit box's."""
    grid = Grid([Axis("y", 9, 0.7, "uniform", 0.1, bc="dirichlet"), *RING]) if periodic else WALLED
    model = small(grid_out=grid, outputs=outputs, walls=walls).double()
    a = torch.randn(3, 1, 12, dtype=torch.float64)
    box = torch.tensor([[axis.start, axis.length] for axis in grid], dtype=torch.float64)
    y = (torch.rand(3, 4, 2, dtype=torch.float64) * box[:, 1] + box[:, 0]).requires_grad_()
    found = model.derivatives(a, y.detach() if own else y[0].detach(), ORDERS)
    points = y if own else y[0].expand(3, -1, -1)
    u = model(a, points)

    def slope(v, axis):  # of values that depend on their own place alone
        (g,) = torch.autograd.grad(v.sum(), points, create_graph=True)
        return g[..., axis]

    for o in range(2):
        one = u[:, o]
        d = {(0, 0): one, (1, 0): slope(one, 0), (0, 1): slope(one, 1)}
        d |= {(2, 0): slope(d[1, 0], 0), (1, 1): slope(d[1, 0], 1), (0, 2): slope(d[0, 1], 1)}
        for alpha, value in zip(ORDERS, found, strict=True):
            torch.testing.assert_close(value[:, o], d[alpha], rtol=1e-9, atol=1e-9)


def test_derivatives_of_one_wave_have_a_closed_form():
    """A trunk of one hidden layer and no second: t_k = tanh(w_k s + c_k), s = (y - start) / length."""
    model = small(channels=1, trunk=trunk.Dense((), "tanh")).double()
    a, y = torch.randn(2, 1, 12, dtype=torch.float64), torch.rand(5, 2, dtype=torch.float64) * 0.7 + 0.1
    w, b = model.trunk_net.net.weights[0], model.branch_net(a)
    t = torch.tanh((y - torch.tensor([0.0, 0.1])) / torch.tensor([2.0, 0.7], dtype=torch.float64) @ w)
    value, first, second = model.derivatives(a, y, [(0, 0), (1, 0), (0, 2)])
    torch.testing.assert_close(value[:, 0], b @ t.mT + model.bias)
    torch.testing.assert_close(first[:, 0], b @ ((1 - t**2) * w[0] / 2).mT)
    torch.testing.assert_close(second[:, 0], b @ (-2 * t * (1 - t**2) * (w[1] / 0.7) ** 2).mT)


def test_a_residual_trains_every_weight():
    model, a = small(walls=True), torch.randn(3, 1, 12)
    u, ut, uxx = model.derivatives(a, None, [(0, 0), (1, 0), (0, 2)])
    assert u.shape == uxx.shape == (3, 2, 6, 9)
    (ut - 0.1 * uxx - u**2).square().mean().backward()
    for name, p in model.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.count_nonzero() > 0, name


def test_the_trunk_is_evaluated_once_while_nothing_changes():
    model, a, y = small(outputs="split_trunk").eval(), torch.randn(3, 1, 12), torch.rand(5, 2) * 0.7 + 0.1
    calls = []
    model.trunk_net.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        first, again = model(a, y), model(a, y.clone())
        assert len(calls) == 1
        assert torch.equal(first, again)
        assert torch.equal(model(a, 0.9 * y), copy.deepcopy(model)(a, 0.9 * y))
        assert torch.equal(model(a[:1], y), copy.deepcopy(model)(a[:1], y))
        for change in (
            lambda: model.load_state_dict({k: 2 * v for k, v in model.state_dict().items()}),
            lambda: model.bias.add_(1),
            lambda: model.double(),
        ):
            change()
            calls.clear()
            fresh = copy.deepcopy(model)(a.to(model.bias), y)
            assert torch.equal(model(a.to(model.bias), y), fresh)
    with torch.no_grad():
        model(a.double(), y)
    calls.clear()
    model(a.double(), y).sum().backward()
    assert len(calls) == 1  # with gradients, always
    torch.optim.Adam(model.parameters(), fused=True).step()
    with torch.no_grad():
        assert torch.equal(model(a.double(), y), copy.deepcopy(model)(a.double(), y))


def wave(n):
    return (2 * pi * RING.resized((n,)).points() / 3).cos().float().view(1, 1, -1)


def test_inputs_on_other_nodes_are_interpolated_to_the_sensors():
    model, line = small(grid_in=LINE), (2 * LINE.resized((23,)).points() - 1).float().view(1, 1, -1)
    torch.testing.assert_close(model(line, WALLED), model(line[..., ::2], WALLED))
    assert model(line).shape == (1, 2, 6, 17)  # an axis of the same name has the input's resolution
    assert "interpolated to the 12 nodes of the sensors" in model.told((23,))
    assert model.told((12,)) is None
    torch.testing.assert_close(small()(wave(31), WALLED), small()(wave(12)), rtol=1e-4, atol=1e-5)


def test_a_spectral_branch_reads_any_lattice():
    options = {"branch": branch.Spectral(8, 6, 2, 8), "resolution": "native"}
    model = small(**options)
    a, b = model(wave(64), WALLED), model(wave(128), WALLED)
    torch.testing.assert_close(a, b, rtol=2e-2, atol=2e-2)
    assert not torch.equal(a, b)
    assert "read by the branch" in model.told((64,))


def test_written_down_and_built_again():
    for spec in (branch.Dense([3], stacked=True), branch.Convolutional([4], 3), branch.Spectral(4, [4], 1, 4)):
        model = small(branch=spec, trunk=trunk.Dense([5, 6], "silu", harmonics=3))
        again = from_config(to_config(model))
        assert (again.branch, again.trunk) == (model.branch, model.trunk)
        again.load_state_dict(model.state_dict())
        a = torch.randn(2, 1, 12)
        assert torch.equal(again(a), model(a))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_knows_its_places(dtype):
    model, a = small(walls=True), torch.randn(2, 1, 12)
    y = torch.rand(40, 2) * torch.tensor([2.0, 0.7]) + torch.tensor([0.0, 0.1])
    full = model(a, y)
    half = copy.deepcopy(model).to(dtype)(a.to(dtype), y)
    assert half.dtype == dtype
    assert (half.float() - full).norm() < 12 * torch.finfo(dtype).eps * full.norm()


def test_exported_for_any_batch_compiled_and_without_values():
    model, a, y = small(walls=True).eval(), torch.randn(3, 1, 12), torch.rand(7, 2) * 0.7 + 0.1
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(model, (a[:2], y), dynamic_shapes=(batch, None)).module()
    torch.testing.assert_close(exported(a, y), model(a, y))
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(a), model(a))
    assert copy.deepcopy(model).to("meta")(a.to("meta")).shape == (3, 2, 6, 9)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m(torch.randn(2, 2, 12)), r"wanted \(batch, 1 channels, x\)"),
        (lambda m: m(torch.randn(2, 1, 12), torch.rand(4, 3)), "the coordinates time, x of each"),
        (lambda m: m(torch.randn(2, 1, 12), 3 * torch.ones(4, 2)), "outside the domain of this DeepONet: 'time'"),
        (lambda m: m(torch.randn(2, 1, 12), RING), "is not this DeepONet's output grid"),
        (
            lambda m: m.derivatives(torch.randn(2, 1, 12), None, [(1,)]),
            r"orders=\[\(1,\)\]: wanted for each derivative 2",
        ),
        (lambda m: m.derivatives(torch.randn(2, 1, 12), None, [1]), r"orders=\[\(1,\)\]: wanted"),
        (lambda m: m.derivatives(torch.randn(2, 1, 12), None, [(-1, 0)]), "whole numbers from 0 on"),
        (lambda m: small(grid_out=RING, walls=True), "model.walls=true, but no axis has dirichlet ends"),
        (lambda m: small(features=5, outputs="split_both"), "take a multiple of 2"),
        (lambda m: small(features=0), "model.features=0: wanted at least 1"),
        (lambda m: small(resolution="native"), "a Dense branch reads the nodes it was built for alone"),
        (lambda m: small(resolution="resample"), "model.resolution='resample'; wanted one of"),
        (lambda m: trunk.Dense(harmonics=-1), "model.trunk.harmonics=-1"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call(small())
