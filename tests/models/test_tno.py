"""The transformer neural operator: its limit, its measure, who asks and who is asked."""

import copy

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.tno import TNO
from pdeops.points import Points
from tests.models.cases import check_half, check_transforms


def box(n=9, d=2, nodes="uniform"):
    return Grid(Axis(name, n + i, length=2.0, start=-1.0, nodes=nodes) for i, name in enumerate("xyz"[:d]))


def small(grid=None, **options):
    torch.manual_seed(0)
    grid = grid or box()
    model = TNO(2, 1, grid, grid, **({"width": 8, "heads": 2, "depth": 2, "hidden": 16} | options)).double()
    with torch.no_grad():  # so that attention chooses
        for layer in model.attentions:
            layer.qkv.weight.mul_(3)
    return model


def cloud(batch, n, d=2):
    return 2 * torch.rand(batch, n, d, dtype=torch.float64) - 1


def values(x):
    return torch.stack([x.sum(-1).cos(), x.prod(-1)], 1)


@pytest.mark.parametrize("nodes", ["cell", "uniform", "chebyshev"])
@pytest.mark.parametrize("d", [1, 2])
def test_converges_as_nodes_become_more(nodes, d):
    """Untrained, at the coarsest nodes: of second order by midpoints and trapezoids, beyond any order by Chebyshev
    points."""
    model = small(box(d=d, nodes=nodes))

    def on(stride):
        ends = nodes != "cell"
        grid = Grid(Axis(name, 9 * stride + ends, length=2.0, start=-1.0, nodes=nodes) for name in "xy"[:d])
        a = values(grid.points().unsqueeze(0))
        with torch.no_grad():
            return model(a)[grid.every(stride)]

    coarse, fine, exact = on(1), on(3), on(9 if d == 2 else 27)
    if nodes == "chebyshev":
        assert (coarse - exact).norm() < 1e-6 * exact.norm()
        assert (fine - exact).norm() < 1e-12 * exact.norm()
        return
    order = torch.log((coarse - exact).norm() / (fine - exact).norm()) / torch.log(torch.tensor(3.0))
    assert 1.9 < order < 2.3


def test_a_grid_is_the_points_of_its_nodes():
    grid = Grid([Axis("x", 7, nodes="uniform"), Axis("y", 6, nodes="chebyshev"), Axis("z", 4, length=3.0)])
    model, a = small(grid), torch.randn(2, 2, *grid.shape, dtype=torch.float64)
    x, u = grid.points().flatten(0, -2), model(a)
    scattered = model.at(a.flatten(2), Points(x, grid.weights().flatten()))
    torch.testing.assert_close(u.flatten(2), scattered, atol=1e-12, rtol=0)


@pytest.mark.parametrize("nodes", ["cell", "uniform", "periodic", "right"])
def test_values_elsewhere_agree_with_those_at_nodes(nodes):
    grid = box(nodes=nodes)
    model, a = small(grid), torch.randn(2, 2, *grid.shape, dtype=torch.float64)
    u, x = model(a), grid.points().flatten(0, -2)
    torch.testing.assert_close(model(a, x), u.flatten(2), atol=1e-12, rtol=0)
    torch.testing.assert_close(model(a, x.expand(2, -1, -1).flip(1)), u.flatten(2).flip(2), atol=1e-12, rtol=0)
    stride = 3 if nodes == "cell" else 2
    fine = grid.resized([stride * axis.intervals + axis.n - axis.intervals for axis in grid])
    there = model(a, fine)
    torch.testing.assert_close(there[fine.every(stride)], u, atol=1e-12, rtol=0)
    torch.testing.assert_close(there.flatten(2), model(a, fine.points().flatten(0, -2)), atol=1e-12, rtol=0)
    wider = model(torch.cat([a, a]), fine)
    torch.testing.assert_close(wider[:2], there, atol=1e-12, rtol=0)


def test_a_point_twice_at_half_its_weight_changes_nothing():
    for d in (1, 2):
        model, x = small(box(d=d)).float(), cloud(1, 30, d).float()
        a, weights = torch.randn(1, 2, 30), torch.rand(30) + 0.1
        u = model.at(a, Points(x, weights))
        twice = torch.cat([weights[:7] / 2, weights[7:], weights[:7] / 2])
        doubled = model.at(torch.cat([a, a[..., :7]], -1), Points(torch.cat([x, x[:, :7]], 1), twice))
        torch.testing.assert_close(doubled, torch.cat([u, u[..., :7]], -1), atol=1e-5, rtol=0)
        unweighted = model.at(torch.cat([a, a[..., :7]], -1), Points(torch.cat([x, x[:, :7]], 1)))
        assert (unweighted[..., :30] - model.at(a, Points(x))).abs().max() > 1e-4


def test_what_fills_up_a_sample_does_not_count():
    model, a, x = small(), torch.randn(1, 2, 30, dtype=torch.float64), cloud(1, 30)
    mask = torch.arange(35).expand(1, -1) < 30
    filled = Points(torch.cat([x, x.new_full((1, 5, 2), torch.nan)], 1), mask=mask)
    a_filled = torch.cat([a, a.new_full((1, 2, 5), torch.nan)], -1)
    u, out = model.at(a_filled, filled), cloud(1, 8)
    torch.testing.assert_close(u[..., :30], model.at(a, Points(x)), atol=1e-12, rtol=0)
    assert u[..., 30:].count_nonzero() == 0
    elsewhere = model.at(a_filled, filled, Points(out))
    torch.testing.assert_close(elsewhere, model.at(a, Points(x), Points(out)), atol=1e-12, rtol=0)
    u.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_values_at_other_points_do_not_depend_on_company():
    model, a, x = small(), torch.randn(3, 2, 40, dtype=torch.float64), cloud(3, 40)
    u = model.at(a, Points(x))
    torch.testing.assert_close(model.at(a, Points(x), Points(x[:, 5:9])), u[..., 5:9], atol=1e-6, rtol=0)
    torch.testing.assert_close(model.at(a[1:2], Points(x[1:2])), u[1:2], atol=1e-12, rtol=0)
    order = torch.randperm(40)
    torch.testing.assert_close(model.at(a[..., order], Points(x[:, order])), u[..., order], atol=1e-12, rtol=0)


def test_translations_without_coordinates():
    grid = Grid.periodic((6, 8))
    a = torch.randn(1, 2, 6, 8, dtype=torch.float64)
    shifted, u = a.roll((1, 3), (2, 3)), {}
    for coordinates in (True, False):
        model = small(grid, coordinates=coordinates)
        u[coordinates] = (model(shifted) - model(a).roll((1, 3), (2, 3))).abs().max()
    assert u[False] < 1e-12
    assert u[True] > 1e-3
    places, x, y = small(grid, coordinates=False), torch.rand(1, 20, 2).double(), torch.rand(1, 9, 2).double()
    there = places.at(a[..., :4].flatten(2)[..., :20], Points(x), Points(y))
    moved = places.at(a[..., :4].flatten(2)[..., :20], Points((x + 0.4) % 1), Points((y + 0.4) % 1))
    torch.testing.assert_close(moved, there, atol=1e-9, rtol=0)


def test_gradients_through_places_and_weights():
    model = small(width=4, hidden=4)
    inputs = [torch.randn(2, 2, 5, dtype=torch.float64), cloud(2, 5), cloud(2, 3), torch.rand(2, 5).double() + 0.1]

    def at(a, x, out, weights):
        return model.at(a, Points(x, weights), Points(out))

    assert torch.autograd.gradcheck(at, [t.requires_grad_() for t in inputs], fast_mode=True)


def test_exported_for_any_batch_compiled_and_without_values():
    model, a, x = small(), torch.randn(3, 2, 9, 10, dtype=torch.float64), cloud(1, 7)[0]
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(model, (a[:2], x), dynamic_shapes=(batch, None)).module()
    torch.testing.assert_close(exported(a, x), model(a, x))
    torch.testing.assert_close(torch.compile(model, backend="eager")(a), model(a))
    assert copy.deepcopy(model).to("meta")(a.to("meta")).shape == (3, 1, 9, 10)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.at(torch.randn(2, 3, 5), Points(cloud(2, 5))), "wanted a tensor \\(batch, 2 channels, points\\)"),
        (lambda m: m.at(torch.randn(2, 2, 5), Points(cloud(2, 6))), "values at 5 points, and the places of 6"),
        (lambda m: m(torch.randn(2, 2, 5, 5).double(), 3 * torch.ones(4, 2)), r"outside the domain \[-1, 1\] x"),
        (lambda m: m(torch.randn(2, 2, 5, 5), torch.ones(4, 3)), "points in 3 dimensions"),
        (lambda m: m(torch.randn(2, 2, 5, 5), torch.ones(3, 4, 2)), "the points of 3 samples for the values of 2"),
        (lambda m: m(torch.randn(2, 2, 5, 5), box(d=1)), "is not this TNO"),
        (lambda m: small(heads=3), "model.heads=3: wanted a divisor of model.width=8"),
        (lambda m: small(depth=0), "model.depth=0: wanted at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call(small())


def test_transforms_of_functions_and_half_precision():
    model, a = small(), torch.randn(2, 2, 9, 10, dtype=torch.float64)
    check_transforms(model, a)
    check_half(model, a)
