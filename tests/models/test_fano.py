"""FANO at other sizes, translated, elsewhere."""

import copy

import pytest
import torch

from pdeops.errors import InputError
from pdeops.models.fano import FANO
from tests.models.cases import check_half, check_transforms
from tests.models.test_vitno import FOURTH, KINDS, grid_of, order_of, smooth


def small(grid, **options):
    torch.manual_seed(0)
    sizes = {"width": 8, "heads": 2, "depth": 2, "hidden": 16, "patches": (2, 3, 2)[: grid.ndim], "modes": 5}
    model = FANO(2, 2, grid, grid, **(sizes | options)).double()
    with torch.no_grad():  # so that attention chooses
        for layer in model.attentions:
            layer.temperature.fill_(2)
    return model


@pytest.mark.parametrize("nodes", KINDS)
@pytest.mark.parametrize("d", [1, 2])
def test_orders_of_the_untrained_operator_in_the_mesh_width(nodes, d):
    """Second on cells, whose seams are extrapolated, and where the last node is; else fourth."""
    low, most = (3.5, 0.005) if nodes in FOURTH else (1.9, 0.2)
    assert low < order_of(small(grid_of(12, nodes, d)), nodes, d, most) < (3 if nodes == "cell" else 5)


def test_a_forward_pass_changes_nothing():
    fine, coarse = grid_of(24, "cell"), grid_of(12, "cell")
    model = small(coarse)
    state, u, v = copy.deepcopy(model.state_dict()), model(smooth(fine)), model(smooth(coarse))
    assert torch.equal(model(smooth(fine)), u)
    assert torch.equal(model(smooth(coarse)), v)
    assert all(torch.equal(a, b) for a, b in zip(state.values(), model.state_dict().values(), strict=True))
    assert not any(p.is_complex() for p in state.values())


@pytest.mark.parametrize("nodes", KINDS)
def test_translations_by_a_patch(nodes):
    grid = grid_of(12, nodes)
    model, a = small(grid, coordinates=False), torch.randn(1, 2, *grid.shape, dtype=torch.float64)
    difference = (model(a.roll((6, 6), (2, 3))) - model(a).roll((6, 6), (2, 3))).abs().max()
    assert difference < 1e-12 if nodes == "periodic" else difference > 1e-6


def test_outputs_elsewhere():
    grid = grid_of(24, "periodic")
    model, a = small(grid), smooth(grid)
    u = model(a)
    torch.testing.assert_close(model(a, grid.points().flatten(0, 1)), u.flatten(2), atol=1e-12, rtol=0)
    there = model(a, grid.resized((48, 72)))
    torch.testing.assert_close(there[..., ::2, ::2], u, atol=1e-12, rtol=0)
    assert model.told((24, 36)) is None
    assert model.told((23, 36)) == "FANO has 2 x 3 patches, and 23 x 36 nodes are interpolated to 24 x 36 and back"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"modes": 7}, "modes of frequencies up to 3 need 7: wanted .* model.modes at most 5, or 14 nodes"),
        ({"heads": 3}, "model.heads=3: wanted a divisor of model.width=8"),
        ({"depth": 0}, "model.depth=0: wanted at least 1"),
    ],
)
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


@pytest.mark.parametrize("nodes", ["uniform", "periodic", "cell"])
def test_compiled_and_exported_for_any_nodes_that_patches_divide(nodes):
    """Also where tables are made for a compiler's symbols."""
    grid = grid_of(12, nodes)
    model = small(grid)
    fields = [torch.randn(2, 2, *grid_of(n, nodes).shape, dtype=torch.float64) for n in (12, 16, 20)]
    compiled = torch.compile(model, backend="eager")
    sizes = dict.fromkeys((2, 3), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(model, (fields[0],), dynamic_shapes=(sizes,)).module()
    for a in fields:
        torch.testing.assert_close(compiled(a), model(a))
        torch.testing.assert_close(exported(a), model(a))


def test_points_of_a_periodic_axis_are_those_of_the_series():
    """Between nodes too, and a period further, as a grid's nodes are; at nodes that patches do not divide."""
    grid = grid_of(12, "periodic").resized((25, 36))
    model, there = small(grid_of(12, "periodic")), grid.resized((53, 77))
    a, y = smooth(grid), there.points().flatten(0, -2)
    u = model(a, there).flatten(2)
    torch.testing.assert_close(model(a, y), u)
    torch.testing.assert_close(model(a, y + 2.0), model(a, y))
    torch.testing.assert_close(model(a, y.expand(1, -1, -1)), model(a, y))


def test_transforms_of_functions_and_half_precision():
    model, a = small(grid_of(12, "uniform")), torch.randn(2, 2, 13, 19, dtype=torch.float64)
    check_transforms(model, a)
    check_half(model, a)
