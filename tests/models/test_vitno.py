"""ViTNO: patches as functions, at any resolution, against dense and official formulas."""

import copy

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.vitno import ViTNO
from tests.models.cases import check_half, check_transforms

KINDS = ["cell", "uniform", "periodic", "right", "left"]
FOURTH = "uniform", "periodic"


def grid_of(n, nodes, d=2):
    sizes = (n, n * 3 // 2, n)
    axes = (Axis(name, 2, 2.0, nodes, -1.0).resized(k) for name, k in zip("xyz"[:d], sizes, strict=False))
    return Grid(axis.resized(axis.n + (nodes == "uniform")) for axis in axes)


def small(grid, **options):
    torch.manual_seed(0)
    sizes = {"width": 8, "heads": 2, "depth": 2, "hidden": 16, "patches": (2, 3, 2)[: grid.ndim], "modes": 5}
    model = ViTNO(2, 2, grid, grid, **(sizes | {"smoothing": 5} | options)).double()
    with torch.no_grad():  # so that attention chooses, and the convolution of the whole domain counts
        for layer in model.attentions:
            layer.temperature.fill_(2)
        if model.seams is not None:
            model.seams.weight.tensor.normal_()
    return model


def smooth(grid):
    """Periodic where the axes are, else not at all."""
    x = grid.points()
    y = (torch.pi * x).sin() if grid[0].periodic else x
    return torch.stack([(y.sum(-1) + y[..., 0]).cos(), (y.prod(-1) - y[..., -1]).exp()]).unsqueeze(0)


def order_of(model, nodes, d, most=0.2):
    """Of the differences at the coarsest nodes, at most so large, as nodes become three and nine times as many."""

    def on(stride):
        grid = grid_of(12 * stride, nodes, d)
        with torch.no_grad():
            return model(smooth(grid))[grid.every(stride)]

    coarse, fine, exact = on(1), on(3), on(9)
    assert (coarse - exact).norm() < most * exact.norm()
    return torch.log((coarse - exact).norm() / (fine - exact).norm()) / torch.log(torch.tensor(3.0))


@pytest.mark.parametrize("nodes", KINDS)
@pytest.mark.parametrize("d", [1, 2])
def test_orders_of_the_untrained_operator_in_the_mesh_width(nodes, d):
    """Second on cells and of the convolution of the whole domain; without it fourth."""
    assert 1.9 < order_of(small(grid_of(12, nodes, d)), nodes, d) < (4 if nodes == "periodic" else 3)
    if nodes in FOURTH:
        assert 3.2 < order_of(small(grid_of(12, nodes, d), smoothing=0), nodes, d, 0.02) < 5


def test_a_forward_pass_changes_nothing():
    fine, coarse = grid_of(24, "cell"), grid_of(12, "cell")
    model = small(coarse)
    state, u, v = copy.deepcopy(model.state_dict()), model(smooth(fine)), model(smooth(coarse))
    assert torch.equal(model(smooth(fine)), u)
    assert torch.equal(model(smooth(coarse)), v)
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert not any(isinstance(p, torch.Tensor) and p.is_complex() for p in state.values())


@pytest.mark.parametrize("nodes", KINDS)
def test_translations_by_a_patch(nodes):
    """They commute with the operator on periodic axes without coordinates, and only there."""
    grid = grid_of(12, nodes)
    model, a = small(grid, coordinates=False, smoothing=0), torch.randn(1, 2, *grid.shape, dtype=torch.float64)
    shift = (6, 6)
    difference = (model(a.roll(shift, (2, 3))) - model(a).roll(shift, (2, 3))).abs().max()
    assert difference < 1e-12 if nodes == "periodic" else difference > 1e-6


@pytest.mark.parametrize("nodes", [*KINDS, "chebyshev"])
def test_outputs_elsewhere(nodes):
    grid = grid_of(24, nodes if nodes != "chebyshev" else "uniform")
    if nodes == "chebyshev":
        grid = Grid(Axis(axis.name, axis.n, axis.length, nodes, axis.start) for axis in grid)
    model, a = small(grid), smooth(grid)
    u = model(a)
    assert u.shape == (1, 2, *grid.shape)
    exact = nodes not in ("chebyshev",)
    at_nodes = model(a, grid.points().flatten(0, 1))
    torch.testing.assert_close(at_nodes, u.flatten(2), atol=1e-12 if exact else 0.05, rtol=0)
    stride = 3 if nodes == "cell" else 2
    fine = grid.resized([stride * axis.intervals + axis.n - axis.intervals for axis in grid])
    there = model(a, fine)
    if exact:
        torch.testing.assert_close(there[fine.every(stride)], u, atol=1e-12, rtol=0)
    assert there.shape == (1, 2, *fine.shape)
    assert model(a.expand(2, -1, -1, -1), torch.zeros(2, 5, 2)).shape == (2, 2, 5)


def test_patches_that_do_not_divide_go_through_the_next_lattice_and_say_so():
    model = small(grid_of(12, "cell"))
    assert model.told((12, 18)) is None
    assert model.told((24, 36)) is None
    assert model.told((13, 17)) == "ViTNO has 2 x 3 patches, and 13 x 17 nodes are interpolated to 14 x 18 and back"
    assert "8 x 12 nodes are interpolated to 10 x 15" in model.told((8, 12))
    near, exact = grid_of(12, "cell").resized((37, 52)), grid_of(12, "cell").resized((38, 54))
    u, v = model(smooth(near)), model(smooth(exact), near)
    assert (u - v).norm() < 0.01 * v.norm()


def test_the_convolution_of_the_whole_domain_begins_as_nothing_and_learns():
    grid = grid_of(24, "cell")
    options = {"width": 8, "heads": 2, "depth": 1, "hidden": 16, "patches": (2, 3), "modes": 5}
    models = []
    for smoothing in (5, 0):
        torch.manual_seed(0)
        models.append(ViTNO(1, 1, grid, grid, **options, smoothing=smoothing))
    a = torch.randn(2, 1, *grid.shape)
    torch.testing.assert_close(models[0](a), models[1](a))
    models[0](a).square().sum().backward()
    assert models[0].seams.weight.tensor.grad.abs().min() > 0


def test_what_modes_do_not_hold_is_not_lost():
    """Of the spectral lift alone, a field of one mode beyond the kept ones would be no field."""
    grid = grid_of(24, "periodic", 1)
    model = small(grid, smoothing=0, coordinates=False)
    x = grid.points()[..., 0]
    a = torch.cos(2 * torch.pi * 3 * 2 * (x + 1) / 2).expand(1, 2, -1)  # three periods a patch
    assert model.spectral(a.movedim(1, -1)[:, :13], (13,)).abs().max() < 1e-12
    assert (model(a) - model(torch.zeros_like(a))).abs().max() > 0.05


def test_an_even_number_of_modes_is_the_odd_one_above():
    grid = grid_of(12, "cell")
    one, other = small(grid, modes=4), small(grid, modes=5)
    other.load_state_dict(one.state_dict())
    torch.testing.assert_close(one(smooth(grid)), other(smooth(grid)))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modes": 7}, "12 cell nodes in 2 patches are 6 intervals each, .* wanted model.patches at most 1, "
                       "model.modes at most 5, or 14 nodes"),
        ({"patches": 4}, "axis 'x': 12 cell nodes in 4 patches are 3 intervals each"),
        ({"patches": 0}, "wanted at least 1"),
        ({"patches": [2, 2, 2]}, "wanted one or 2, one for each of"),
        ({"heads": 3}, "model.heads=3: wanted a divisor of model.width=8"),
        ({"smoothing": [0, 3]}, "wanted modes for every axis, or 0 for all"),
        ({"hidden": 0}, "model.hidden=0: wanted at least 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        small(grid_of(12, "cell"), **options)


def test_exported_for_any_batch_and_compiled():
    model, a = small(grid_of(12, "uniform")), torch.randn(3, 2, 13, 19, dtype=torch.float64)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(model, (a[:2],), dynamic_shapes=(batch,)).module()
    torch.testing.assert_close(exported(a), model(a))
    torch.testing.assert_close(torch.compile(model, backend="eager")(a), model(a))
    assert copy.deepcopy(model).to("meta")(a.to("meta")).shape == a.shape


def test_transforms_of_functions_and_half_precision():
    model, a = small(grid_of(12, "uniform")), torch.randn(2, 2, 13, 19, dtype=torch.float64)
    check_transforms(model, a)
    check_half(model, a)
