"""The LSM of scattered points."""

import copy

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.point_lsm import PointLSM
from pdeops.nn import nonuniform
from pdeops.points import Points


def box(n=16, d=2, nodes="periodic"):
    return Grid(Axis(name, n, length=2.0, start=-1.0, nodes=nodes) for name in "xyz"[:d])


def small(d=2, nodes="periodic", **options):
    torch.manual_seed(0)
    sizes = {"width": 8, "latent": 16, "modes": 6, "levels": 3, "projection": 16}
    return PointLSM(2, 1, box(d=d, nodes=nodes), box(d=d, nodes=nodes), **(sizes | options))


def cloud(batch, n, d=2):
    return 2 * torch.rand(batch, n, d) - 1


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"deformation": False}, {"code": 3}])
def test_shapes_and_gradients(d, options):
    model, code = small(d, **options), torch.randn(2, 3) if options.get("code") else None
    a, points = torch.randn(2, 2, 21), Points(cloud(2, 21, d))
    u = model.at(a, points, code=code)
    assert u.shape == (2, 1, 21)
    u.square().mean().backward()
    for name, p in model.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.count_nonzero() > 0, name
    assert model.at(a, points, Points(cloud(2, 5, d)), code).shape == (2, 1, 5)


@pytest.mark.parametrize("nodes", ["uniform", "cell", "chebyshev", "periodic"])
def test_a_grid_is_the_points_of_its_nodes(nodes):
    grid = Grid([Axis("x", 9, nodes=nodes), Axis("y", 12, length=3.0, nodes=nodes)])
    model, a = PointLSM(2, 1, grid, grid, width=8, latent=16, modes=6, levels=3), torch.randn(2, 2, 9, 12)
    x, weights = grid.points().flatten(0, 1), grid.weights().flatten()
    u = model(a)
    torch.testing.assert_close(u.flatten(2), model.at(a.flatten(2), Points(x, weights)), atol=2e-6, rtol=0)
    torch.testing.assert_close(model(a, x), u.flatten(2), atol=2e-6, rtol=0)
    torch.testing.assert_close(model(a, grid.resized((17, 23))).shape, (2, 1, 17, 23))
    if nodes != "cell":  # the first node stays the first
        torch.testing.assert_close(model(a, grid.resized((17, 23)))[..., 0, 0], u[..., 0, 0], atol=2e-6, rtol=0)


def test_values_do_not_depend_on_order_or_company():
    model, a, x = small().eval(), torch.randn(3, 2, 40), cloud(3, 40)
    u = model.at(a, Points(x))
    order = torch.randperm(40)
    torch.testing.assert_close(model.at(a[..., order], Points(x[:, order])), u[..., order], atol=2e-6, rtol=0)
    torch.testing.assert_close(model.at(a[1:2], Points(x[1:2])), u[1:2], atol=2e-6, rtol=0)
    torch.testing.assert_close(
        model.at(a[1:], Points(x[1])), torch.cat([u[1:2], model.at(a[2:], Points(x[1]))]), atol=2e-6, rtol=0
    )


def test_a_point_twice_at_half_its_weight_changes_nothing():
    model, a, x = small().eval(), torch.randn(1, 2, 30), cloud(1, 30)
    weights = torch.rand(30) + 0.1
    u = model.at(a, Points(x, weights=weights))
    twice = torch.cat([weights[:7] / 2, weights[7:], weights[:7] / 2])
    doubled = model.at(torch.cat([a, a[..., :7]], -1), Points(torch.cat([x, x[:, :7]], 1), weights=twice))
    torch.testing.assert_close(doubled, torch.cat([u, u[..., :7]], -1), atol=2e-6, rtol=0)


def test_what_fills_up_a_sample_does_not_count():
    model, a, x = small().eval(), torch.randn(1, 2, 30), cloud(1, 30)
    nothing = float("nan")
    mask = torch.cat([torch.ones(1, 30, dtype=torch.bool), torch.zeros(1, 5, dtype=torch.bool)], 1)
    filled = Points(torch.cat([x, x.new_full((1, 5, 2), nothing)], 1), mask=mask)
    a_filled = torch.cat([a, a.new_full((1, 2, 5), nothing)], -1)
    u = model.at(a_filled, filled)
    torch.testing.assert_close(u[..., :30], model.at(a, Points(x)), atol=2e-6, rtol=0)
    assert u[..., 30:].count_nonzero() == 0
    u.sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_converges_as_points_become_more():
    """The mean over random points: errors fall as their number's root."""
    model = small(deformation=False).double().eval()

    def at(n):
        x = 2 * torch.rand(1, n, 2, dtype=torch.float64) - 1
        a = torch.stack([x[..., 0].cos(), x.prod(-1)], 1)
        return model.at(a, Points(x), Points(fixed))

    torch.manual_seed(1)
    fixed = 2 * torch.rand(1, 50, 2, dtype=torch.float64) - 1
    with torch.no_grad():
        exact = at(200_000)
        coarse, fine = (
            (torch.stack([at(n) for _ in range(8)]) - exact).square().mean().sqrt() for n in (1_000, 16_000)
        )
    assert 2.5 < coarse / fine < 6.5, coarse / fine  # 4, the root of 16


def test_the_number_of_points_at_a_time_changes_nothing(monkeypatch):
    model, a, points = small().double(), torch.randn(2, 2, 50, dtype=torch.float64), Points(cloud(2, 50).double())
    whole = model.at(a, points)
    monkeypatch.setattr(nonuniform, "ENTRIES", 500)
    torch.testing.assert_close(model.at(a, points), whole, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.at(torch.randn(2, 3, 5), Points(cloud(2, 5))), "wanted a tensor \\(batch, 2 channels, points\\)"),
        (lambda m: m.at(torch.randn(2, 2, 5), Points(cloud(2, 6))), "values at 5 points, and the places of 6"),
        (lambda m: m.at(torch.randn(2, 2, 5), Points(cloud(3, 5))), "the points of 3 samples for the values of 2"),
        (lambda m: m.at(torch.randn(2, 2, 5), Points(cloud(2, 5, 3))), "points in 3 dimensions"),
        (lambda m: m.at(torch.randn(2, 2, 5), Points(cloud(2, 5)), code=torch.randn(2, 1)), "wanted None"),
        (lambda m: small(code=3).at(torch.randn(2, 2, 5), Points(cloud(2, 5))), "wanted \\(2, 3\\)"),
        (lambda m: m(torch.randn(2, 2, 5, 5), box(d=1)), "is not this PointLSM"),
        (lambda m: small(d=2, modes=17), r"modes=\[17, 17\], model.latent=16"),
        (lambda m: small(deformation=False, code=2), "model.code=0"),
        (lambda m: small(code=2)(torch.randn(1, 2, 5, 5)), "come with scattered points alone"),
        (lambda m: small(levels=6), "model.levels=6: wanted 2 to 5 on 16 x 16 nodes"),
        (lambda m: small(width=-4), "model.width=-4: wanted at least 1"),
        (lambda m: m.at(torch.randn(2, 2, 5), cloud(2, 5)), "places are a Tensor; wanted Points"),
        (lambda m: m.at(torch.randn(2, 2, 5).numpy(), Points(cloud(2, 5))), "wanted a tensor"),
        (
            lambda m: small(nodes="cell").at(torch.randn(2, 2, 5), Points(3 * torch.ones(2, 5, 2))),
            r"outside the domain \[-1, 1\] x \[-1, 1\]",
        ),
        (lambda m: m(torch.randn(2, 2, 5, 5), out=(5, 5)), "wanted a Grid"),
    ],
)
def test_what_does_not_fit_is_refused(call, said):
    with pytest.raises(InputError, match=said):
        call(small())


def test_places_a_period_away_are_the_same():
    model, a, x = small().double(), torch.randn(2, 2, 9, dtype=torch.float64), cloud(2, 9).double()
    torch.testing.assert_close(model.at(a, Points(x + 2), Points(x - 4)), model.at(a, Points(x), Points(x)))


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_trained_and_knows_its_places(dtype, autocast):
    """Angles of many turns: in bfloat16 themselves, errors were 25 %."""
    model, a, points = small(modes=24, latent=32), torch.randn(2, 2, 40), Points(cloud(2, 40))
    full = model.at(a, points)
    if not autocast:
        model, a = model.to(dtype), a.to(dtype)
    with torch.autocast("cpu", dtype, enabled=autocast):
        half = model.at(a, points)
    assert half.dtype == dtype
    assert (half.float() - full).norm() < 6 * torch.finfo(dtype).eps * full.norm()
    half.float().square().mean().backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in model.parameters())


def test_exported_for_any_batch_compiled_and_without_values():
    model, a, x = small().eval(), torch.randn(3, 2, 16, 16), cloud(1, 7)[0]
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(model, (a[:2], x), dynamic_shapes=(batch, None)).module()
    torch.testing.assert_close(exported(a, x), model(a, x), atol=2e-6, rtol=0)
    torch.testing.assert_close(torch.compile(model, backend="eager")(a), model(a), atol=2e-6, rtol=0)
    assert copy.deepcopy(model).to("meta")(a.to("meta")).shape == (3, 1, 16, 16)


def test_gradients_by_transforms_of_functions():
    model, a = small(), torch.randn(1, 2, 16, 16)
    weights = dict(model.named_parameters())
    found = torch.func.grad(lambda w: torch.func.functional_call(model, w, (a,)).square().sum())(weights)
    model(a).square().sum().backward()
    for name, p in weights.items():
        torch.testing.assert_close(found[name], p.grad, atol=1e-4, rtol=1e-4)


def test_gradients_through_the_whole_model():
    model = small(width=4, latent=8, modes=4, levels=2, heads=2, tokens=2, basis=3, code=2).double()
    torch.manual_seed(1)
    a, code, weights = torch.randn(2, 2, 5), torch.randn(2, 2), torch.rand(2, 5) + 0.1
    inputs = [t.double().requires_grad_() for t in (a, cloud(2, 5), cloud(2, 3), code, weights)]

    def at(a, x, out, code, weights):
        return model.at(a, Points(x, weights=weights), Points(out), code)

    assert torch.autograd.gradcheck(at, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(at, inputs, fast_mode=True)


def test_places_are_parts_of_the_domain():
    x, a = torch.rand(2, 12, 2), torch.randn(2, 2, 12)
    torch.manual_seed(0)
    unit = PointLSM(2, 1, Grid.periodic((16, 16)), Grid.periodic((16, 16)), width=8, latent=16, modes=6, levels=3)
    wide = PointLSM(2, 1, box(), box(), width=8, latent=16, modes=6, levels=3)
    wide.load_state_dict(unit.state_dict())
    torch.testing.assert_close(wide.at(a, Points(2 * x - 1)), unit.at(a, Points(x)), atol=2e-5, rtol=0)


def test_the_output_is_masked_where_its_own_points_are():
    model, a, out = small(), torch.randn(1, 2, 4), cloud(1, 4)
    mask = torch.tensor([[True, True, True, False]])
    points = Points(cloud(1, 4), mask=mask)
    u = model.at(a, points, Points(out))
    assert u.count_nonzero() == 4
    torch.testing.assert_close(model.at(a, points, Points(out, mask=mask.flip(1))), u * mask.flip(1))
