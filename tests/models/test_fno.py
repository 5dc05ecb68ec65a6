"""What is asked of the FNO alone; beside neuraloperator's it stands in test_neuralop_weights."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import resample
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.fno import FNO
from pdeops.norms import Lp


def band_limited(grid):
    x, y = grid.points().unbind(-1)
    u = torch.sin(2 * pi * x) * torch.cos(2 * pi * 2 * y) + torch.cos(2 * pi * (x - y)) + 0.3
    return u[None, None].float()


def test_a_finer_output_grid_is_the_same_function():
    """With a linear last block, the output on a finer grid is the interpolant of the output on the grid."""
    coarse, fine = Grid.periodic((33, 40)), Grid.periodic((66, 81))
    model = FNO(1, 1, coarse, coarse, width=8, modes=8, depth=1, mlp_ratio=0, projection_ratio=1)
    model.projection = torch.nn.Linear(8, 1)
    a = band_limited(coarse)
    torch.testing.assert_close(model(a, out=fine), resample(model(a), (66, 81)), rtol=1e-4, atol=1e-5)
    assert FNO(1, 1, coarse, fine, width=8, modes=8)(a).shape == (1, 1, 66, 81)


def test_commutes_with_translations_without_coordinates():
    grid = Grid.periodic((16, 20))
    model = FNO(1, 1, grid, grid, width=8, modes=6, coordinates=False)
    a = torch.randn(1, 1, 16, 20)
    torch.testing.assert_close(model(a.roll((3, 7), (2, 3))), model(a).roll((3, 7), (2, 3)), rtol=1e-4, atol=1e-5)


def test_the_operator_does_not_change_with_the_resolution():
    """A field that both lattices resolve, through a model whose nonlinearities stay resolved: the same output."""
    torch.manual_seed(0)
    model = FNO(1, 1, Grid.periodic((64, 64)), Grid.periodic((64, 64)), width=8, modes=8)
    on_64, on_128 = model(band_limited(Grid.periodic((64, 64)))), model(band_limited(Grid.periodic((128, 128))))
    assert (on_128[..., ::2, ::2] - on_64).norm() / on_64.norm() < 2e-3


def test_padding_separates_the_ends_of_walls_only():
    walls = Grid((Axis("x", 16, nodes="uniform"), Axis("y", 12)))
    model = FNO(1, 1, walls, walls, width=8, modes=6, coordinates=False, padding=0.25)
    assert model.extra((16, 12)) == (4, 0)
    a = torch.randn(1, 1, 16, 12)
    assert model(a).shape == a.shape
    torch.testing.assert_close(model(a.roll(5, 3)), model(a).roll(5, 3), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(model(a.roll(5, 2)), model(a).roll(5, 2), rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="axis 'x' has uniform nodes"):
        model(a, out=walls.resized((32, 24)))


BOX = Grid((Axis("x", 17, 2.0, "uniform", start=-1.0), Axis("y", 12, nodes="cell")))


@pytest.mark.parametrize("basis", ["cosine", ["sine", "cosine"], ["cosine", "fourier"]])
def test_walls_need_no_padding_in_their_own_basis(basis):
    model = FNO(1, 1, BOX, BOX, width=8, modes=6, basis=basis, padding=0.25)
    assert model.extra((17, 12)) == (0, 3 if basis[1] == "fourier" else 0)
    assert model(torch.randn(2, 1, 17, 12)).shape == (2, 1, 17, 12)


@pytest.mark.parametrize("basis", ["cosine", ["cosine", "fourier"]])
def test_another_output_grid_is_the_same_function_at_its_own_nodes(basis):
    """A linear layer's output is a series of the basis; on other cells and end points it is that series there."""
    torch.manual_seed(0)
    model = FNO(1, 1, BOX, BOX, width=8, modes=6, depth=1, mlp_ratio=0, basis=basis, coordinates=False).double()
    model.lifting, model.projection = torch.nn.Linear(1, 8).double(), torch.nn.Linear(8, 1).double()

    def field(grid):
        x, y = grid.points().unbind(-1)
        along = torch.cos(3 * pi * y) if basis == "cosine" else torch.sin(2 * pi * 2 * y)
        return (torch.cos(2 * pi * (x + 1) / 2) * along)[None, None]

    fine = BOX.resized((33, 30))
    torch.testing.assert_close(model(field(BOX), out=fine), model(field(fine)))


@pytest.mark.parametrize("basis", ["chebyshev", "legendre", "eigen"])
def test_polynomials_on_chebyshev_nodes(basis):
    """On a grid of its own for the output, of a batch, compiled and exported (of fixed sizes)."""
    torch.manual_seed(0)
    grid = Grid([Axis("x", 17, 2.0, "chebyshev", bc="dirichlet"), Axis("y", 14, nodes="chebyshev", bc="neumann")])
    model = FNO(1, 1, grid, grid, width=8, modes=6, depth=2, basis=basis).double()
    a = torch.randn(2, 1, 17, 14, dtype=torch.float64)
    u = model(a)
    exported = torch.export.export(model, (a,)).module()
    torch.testing.assert_close(exported(a), u)
    torch.testing.assert_close(torch.compile(model, backend="eager", fullgraph=True)(a), u)
    coarse = torch.randn(2, 1, 9, 10, dtype=torch.float64)
    assert model(coarse, out=grid.resized((12, 20))).shape == (2, 1, 12, 20)


@pytest.mark.parametrize("basis", ["legendre", "eigen"])
def test_tables_by_numpy_have_no_symbolic_sizes(basis):
    grid = Grid([Axis("x", 16, nodes="chebyshev")])
    model, n = FNO(1, 1, grid, grid, width=4, modes=6, depth=1, basis=basis), torch.export.Dim("n", min=8, max=64)
    with pytest.raises(InputError, match="are for fixed sizes: export without dynamic ones"):
        torch.export.export(model, (torch.randn(2, 1, 16),), dynamic_shapes=({2: n},))


@pytest.mark.parametrize("weights", ["separable", "tucker", "cp", "tt"])
def test_fewer_weights(weights):
    grid = Grid.periodic((16, 16))
    full, model = (FNO(1, 1, grid, grid, width=8, modes=6, weights=w, rank=0.2) for w in ("dense", weights))
    assert sum(p.numel() for p in model.parameters()) < sum(p.numel() for p in full.parameters()) / 2
    model(torch.randn(1, 1, 16, 16)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_norms_make_blocks_independent_of_the_inputs_scale(norm):
    grid = Grid.periodic((16, 16))
    model = FNO(1, 1, grid, grid, width=8, modes=6, norm=norm, coordinates=False)
    for layer in model.lifting:
        if hasattr(layer, "bias"):
            torch.nn.init.zeros_(layer.bias)
    model.lifting[1] = torch.nn.ReLU()  # homogeneous, so that the first block sees the scale
    for parameter in (model.blocks[0].skip.bias, model.blocks[0].gate):
        torch.nn.init.zeros_(parameter)
    a = torch.randn(1, 1, 16, 16)
    assert (model(a) - model(100 * a)).norm() < 1e-2 * model(a).norm()
    plain = FNO(1, 1, grid, grid, width=8, modes=6, coordinates=False)
    assert (plain(a) - plain(100 * a)).norm() > plain(a).norm()


def test_norms_stand_before_each_gelu(monkeypatch):
    """Means over a sample's nodes and groups, of what goes into the two GELUs of a block."""
    grid = Grid.periodic((16, 16))
    block = FNO(1, 1, grid, grid, width=8, modes=6, norm="group").blocks[0]
    seen = []
    for norm in block.norms:
        norm.register_forward_hook(lambda _, inputs, y: seen.append(y))
    block(3 + torch.randn(2, 16, 16, 8))
    assert [norm.num_groups for norm in block.norms] == [4, 4]
    assert len(seen) == 2
    for y in seen:
        groups = y.reshape(2, 256, 4, 2)
        assert groups.mean((1, 3)).abs().max() < 1e-5
        torch.testing.assert_close(groups.var((1, 3), correction=0), torch.ones(2, 4), rtol=1e-3, atol=1e-3)


def test_padding_keeps_its_period_at_another_resolution():
    cells = Grid((Axis("x", 16, nodes="cell"), Axis("y", 16)))
    model = FNO(1, 1, cells, cells, width=4, modes=6, padding=0.1, coordinates=False).double()
    assert model.extra((16, 16)) == (2, 0)
    assert model.extra((32, 32)) == (4, 0)
    model.blocks[-1].mlp, model.projection = None, torch.nn.Identity()  # a series up to the end
    a = torch.zeros(1, 1, 16, 16).double()  # lifted to a constant, beside which padding is zero
    fine = model(a, out=cells.resized((48, 48)))
    assert fine.shape == (1, 4, 48, 48)
    torch.testing.assert_close(fine[..., 1::3, ::3], model(a))  # every third cell's centre is a coarse one's


def test_nodes_of_uniform_axes_follow_the_input():
    walls = Grid((Axis("x", 17, nodes="uniform"), Axis("y", 8)))
    model, fine = FNO(1, 1, walls, walls, width=4, modes=4), walls.resized((33, 8))
    a = torch.randn(1, 1, 33, 8)
    torch.testing.assert_close(model(a, out=fine), model(a))
    with pytest.raises(InputError, match="33 in and 17 out"):
        model(a, out=walls)
    with pytest.raises(InputError, match="17 in and 33 out"):
        FNO(1, 1, walls, fine, width=4, modes=4)


def test_autocast_with_tables_and_fft():
    grid = Grid.periodic((300, 16))
    model, a = FNO(1, 1, grid, grid, width=4, modes=(280, 8), depth=2), torch.randn(1, 1, 300, 16)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            half = model(a).float()
        assert (half - model(a)).norm() / model(a).norm() < 2e-2


def test_recomputing_changes_no_gradient():
    grid, a = Grid.periodic((16, 16)), torch.randn(2, 1, 16, 16)
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        model = FNO(1, 1, grid, grid, width=8, modes=6, recompute=recompute)
        model(a).square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    for u, v in zip(*gradients, strict=True):
        torch.testing.assert_close(u, v)


def test_recomputing_keeps_less():
    grid, a = Grid.periodic((32, 32)), torch.randn(2, 1, 32, 32)
    kept = []
    for recompute in (False, True):
        saved = []
        model = FNO(1, 1, grid, grid, width=8, modes=6, recompute=recompute)
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=saved: sizes.append(t.numel()) or t, lambda t: t):
            model(a)
        kept.append(sum(saved))
    assert kept[1] < kept[0] / 4


def test_a_longer_time_axis():
    grid_in = Grid((Axis("time", 10, nodes="right"), *Grid.periodic((16, 16))))
    grid_out = Grid((Axis("time", 40, 4.0, nodes="right"), *Grid.periodic((16, 16))))
    model = FNO(1, 1, grid_in, grid_out, width=4, modes=(8, 8, 8))
    assert model(torch.randn(1, 1, 10, 16, 16)).shape == (1, 1, 40, 16, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "at least 1"),
        ({"depth": 0}, "at least 1"),
        ({"padding": -0.1}, "at least 0"),
        ({"modes": 0}, "one mode"),
        ({"basis": ["cosine", "fourier"]}, "cell or uniform nodes; axis 'x' has periodic"),
        ({"basis": ["fourier"]}, "model.basis"),
        ({"weights": "sparse"}, "wanted one of"),
        ({"norm": "batch"}, "model.norm"),
        ({"lifting_ratio": 0}, "model.lifting_ratio"),
        ({"projection_ratio": -1.0}, "model.projection_ratio"),
        ({"mlp_ratio": -1.0}, "model.mlp_ratio"),
        ({"rank": 2.0}, "model.rank"),
        ({"norm": "group", "width": 6}, "multiple of 4"),
    ],
)
def test_sizes_out_of_range_are_refused(options, message):
    grid = Grid.periodic((8, 8))
    with pytest.raises(InputError, match=message):
        FNO(1, 1, grid, grid, **options)


def test_another_domain_is_refused():
    grid = Grid.periodic((8, 8))
    model = FNO(1, 1, grid, grid, width=4, modes=4)
    for out in (Grid.periodic((16, 16), 2.0), Grid((Axis("x", 16, nodes="cell"), Axis("y", 16)))):
        with pytest.raises(InputError, match="not this FNO's output grid"):
            model(torch.randn(1, 1, 8, 8), out=out)
    left = Grid((Axis("x", 16, nodes="left"), Axis("y", 16)))
    with pytest.raises(InputError, match="different lengths"):
        FNO(1, 1, left, left, width=4, modes=4, padding=0.1)(torch.randn(1, 1, 16, 16), out=left.resized((20, 16)))


def test_inference_first_then_training():
    grid = Grid.periodic((10, 22))
    model, norm, a = FNO(1, 1, grid, grid, width=2, modes=4), Lp(grid), torch.randn(1, 1, 10, 22)
    with torch.inference_mode():
        norm(model(a))
    norm(model(a)).sum().backward()


def test_export_leaves_the_model_usable():
    grid = Grid.periodic((10, 26))
    model, a = FNO(1, 1, grid, grid, width=2, modes=4), torch.randn(1, 1, 10, 26)
    exported = torch.export.export(model, (a,)).module()
    torch.testing.assert_close(exported(a), model(a))


def test_other_axes_are_refused():
    grid = Grid.periodic((8, 8))
    with pytest.raises(InputError, match="keeps its axes"):
        FNO(1, 1, grid, Grid.periodic((8,)))
    with pytest.raises(InputError, match="scattered points"):
        FNO(1, 1, grid, grid, width=4, modes=4)(torch.randn(1, 1, 8, 8), torch.rand(3, 2))


def identity(grid, out, **options):
    m = FNO(1, 1, grid, out, width=1, modes=2, depth=1, mlp_ratio=0, coordinates=False, **options)
    m.lifting = m.projection = torch.nn.Identity()
    for p, v in (
        (m.blocks[0].spectral.weight.tensor, 0.0),
        (m.blocks[0].skip.weight, 1.0),
        (m.blocks[0].skip.bias, 0.0),
    ):
        p.data.fill_(v)
    return m


def test_padding_is_cut_off_where_it_was_put():
    g = Grid((Axis("x", 16, nodes="uniform"), Axis("y", 12, nodes="cell")))
    a = torch.randn(1, 1, 16, 12)
    torch.testing.assert_close(identity(g, g, padding=0.25)(a), a)


def test_the_output_follows_the_resolution_of_the_input():
    g = Grid.periodic((8, 8))
    m = identity(g, g.resized((16, 12)))
    assert m(torch.randn(1, 1, 10, 12)).shape == (1, 1, 20, 18)
