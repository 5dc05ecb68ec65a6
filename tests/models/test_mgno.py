"""What is asked of MgNO alone; beside the official code it stands in test_mgno_weights."""

import pytest
import torch
from torch.func import functional_call, jvp, stack_module_state, vmap

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.models.mgno import MgNO
from pdeops.nn.resample import INWARD, OUTWARD, resampled

DARCY = {"levels": 6, "pre": (1, 1, 1, 1, 1, 2)}


def mgno(grid, c_in=1, c_out=1, **options):
    torch.manual_seed(0)
    return MgNO(c_in, c_out, grid, grid, **{"width": 4, "depth": 2, "levels": 3, **options})


def square(n, nodes="uniform", bc=None):
    return Grid([Axis("x", n, nodes=nodes, bc=bc), Axis("y", n, nodes=nodes, bc=bc)])


def count(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("c_in", "options", "expected"),
    [
        (1, {"width": 24, "depth": 4, **DARCY}, 572_661),
        (1, {"width": 24, "depth": 5, **DARCY, "prolongation": (3, 4, 3, 3, 4)}, 678_093),
        (2, {"width": 24, "depth": 5, **DARCY, "post": (0, 0, 0, 0, 1, 0)}, 783_876),
        (1, {"width": 24, "depth": 5, **DARCY}, 738_573),
        (1, {"width": 32, "depth": 5, "levels": 5, "pre": (1, 1, 1, 2, 2)}, 1_146_788),
    ],
)
def test_the_official_numbers_of_parameters(c_in, options, expected):
    assert count(mgno(square(64, "left"), c_in, **options)) == expected


def test_a_bias_that_varies_costs_little():
    """The official Navier-Stokes model has 2,885,194 parameters, 1,740,800 of them tied to 64 x 64 nodes."""
    options = {"width": 32, "depth": 5, "levels": 5, "pre": (1, 1, 1, 2, 2), "norm": "group", "bias_modes": 6}
    model = mgno(Grid.periodic((64, 64)), **options)
    assert count(model) < 1_160_000
    other = mgno(Grid.periodic((32, 48)), **options)
    other.load_state_dict(model.state_dict())


@pytest.mark.parametrize("bias_modes", [1, 3])
@pytest.mark.parametrize("norm", ["none", "group", "instance"])
@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("residual", [True, False])
def test_every_parameter_gets_a_gradient(bias_modes, norm, skip, residual):
    model = mgno(square(13, "cell"), bias_modes=bias_modes, norm=norm, skip=skip, residual=residual, post=(1, 0, 0))
    model(torch.randn(2, 1, 13, 13)).square().sum().backward()
    for name, p in model.named_parameters():
        assert p.grad.isfinite().all(), name
        assert p.grad.abs().sum() > 0, name


@pytest.mark.parametrize("d", [1, 2, 3])
def test_translations_on_tori(d):
    n = (16, 24, 8)[:d]
    model = mgno(Grid.periodic(n), 2, norm="instance", residual=True).double()
    a = torch.randn(2, 2, *n, dtype=torch.float64)
    for axis in range(2, d + 2):
        torch.testing.assert_close(model(a.roll(4, axis)), model(a).roll(4, axis), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("nodes", ["cell", "uniform"])
@pytest.mark.parametrize("n", [16, 19])
def test_reflections_on_walls(nodes, n):
    """Where the grid says neumann, and kernels are symmetric, the model is."""
    model = mgno(square(n, nodes, "neumann"), bias_modes=1).double()
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 4:
                p.add_(p.flip(2)).add_(p.flip(3))
    a = torch.randn(1, 1, n, n, dtype=torch.float64)
    for axis in (2, 3):
        torch.testing.assert_close(model(a.flip(axis)), model(a).flip(axis), rtol=1e-11, atol=1e-12)


def test_the_boundary_is_the_axis_own_unless_said():
    grid = Grid([Axis("x", 8), Axis("y", 9, nodes="uniform", bc="neumann"), Axis("z", 8, nodes="cell", bc="dirichlet")])
    kinds = mgno(grid).layers[0].cycle.levels[0].ends
    assert kinds == (("wrap", "wrap"), ("node", "node"), ("zero", "zero"))
    said = mgno(grid, boundary=["auto", "dirichlet", "neumann"]).layers[0].cycle.levels[0].ends
    assert said == (("wrap", "wrap"), ("zero", "zero"), ("wall", "wall"))


@pytest.mark.parametrize("shape", [(64, 96), (85, 85), (101, 30), (129, 17), (5, 257)])
@pytest.mark.parametrize("resolution", ["native", "resample", "cascade"])
def test_sizes(shape, resolution):
    model = mgno(square(33), levels=6, resolution=resolution)
    u = model(torch.randn(1, 1, *shape))
    assert u.shape == (1, 1, *shape)
    u.sum().backward()


def test_native_is_the_model_of_that_grid():
    model, fine = mgno(square(17), resolution="native"), mgno(square(33))
    a = torch.randn(1, 1, 33, 33)
    assert torch.equal(model(a), fine(a))


def test_resample_goes_through_the_trained_lattice():
    model, grid = mgno(square(17), resolution="resample"), square(17)
    a = torch.randn(1, 1, 33, 33)
    u = model(a[:, :, ::2, ::2])  # linear at common nodes
    expected = resampled(u.movedim(1, -1), grid, (33, 33), OUTWARD).movedim(-1, 1)
    torch.testing.assert_close(model(a), expected)
    torch.testing.assert_close(model(a)[:, :, ::2, ::2], u)


def test_cascade_runs_cycles_on_the_trained_lattice():
    model, grid = mgno(square(17), depth=1, resolution="cascade"), square(17)
    a = torch.randn(1, 1, 33, 33)
    v, layer = a.movedim(1, -1), model.layers[0]
    inner = layer.cycle(resampled(v, grid, (17, 17), INWARD))
    y = resampled(inner, grid, (33, 33), OUTWARD) + layer.skip(v) + layer.bias.weight.flatten()
    expected = model.projection(torch.nn.functional.gelu(y)).movedim(-1, 1)
    torch.testing.assert_close(model(a), expected)


@pytest.mark.parametrize("norm", ["group", "instance"])
def test_a_layer_norms_cycle_and_skip_together(norm):
    layer = mgno(square(17), c_in=2, depth=1, width=8, norm=norm, bias_modes=2).layers[0]
    torch.nn.init.normal_(layer.bias.weight)
    v = torch.randn(2, 17, 17, 2)
    groups = {"group": 4, "instance": 8}[norm]
    unit = torch.nn.functional.group_norm((layer.cycle(v) + layer.skip(v)).movedim(-1, 1), groups).movedim(1, -1)
    torch.testing.assert_close(layer(v), torch.nn.functional.gelu(layer.bias(unit)), rtol=1e-4, atol=1e-5)


def test_inputs_are_interpolated_by_lines_and_outputs_by_cubics():
    line, cubic = (lambda x: 1 + 2 * x), (lambda x: 1 + x - 3 * x**2 + 2 * x**3)
    grid = Grid([Axis("x", 8, nodes="cell")])
    coarse, fine = (grid.resized((n,)).points()[:, 0] for n in (8, 20))
    for f, order in ((line, INWARD), (cubic, OUTWARD)):
        torch.testing.assert_close(resampled(f(coarse).view(1, 8, 1), grid, (20,), order), f(fine).view(1, 20, 1))
    jump = (coarse > 0.5).double().view(1, 8, 1)
    ranges = [(float(u.min()), float(u.max())) for u in (resampled(jump, grid, (20,), k) for k in (INWARD, OUTWARD))]
    assert ranges[0] == (0, 1)
    assert ranges[1][0] < 0
    assert ranges[1][1] > 1


def test_all_ways_are_one_on_the_trained_lattice():
    a = torch.randn(1, 1, 17, 17)
    models = [mgno(square(17), resolution=r) for r in ("native", "resample", "cascade")]
    assert all(torch.equal(m(a), models[0](a)) for m in models)
    assert [m.way((17, 17)) for m in models] == ["native"] * 3
    assert [m.way((33, 33)) for m in models] == ["native", "resample", "cascade"]


def test_another_output_grid():
    model, a = mgno(square(17)), torch.randn(1, 1, 17, 17)
    u = model(a, square(33))
    assert u.shape == (1, 1, 33, 33)
    torch.testing.assert_close(u[:, :, ::2, ::2], model(a))
    with pytest.raises(InputError, match="is not this MgNO's output grid"):
        model(a, square(33, "cell"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "model.width=0: wanted at least 1"),
        ({"levels": 0}, "model.levels=0: wanted at least 1"),
        ({"levels": 9}, r"model.levels=9: wanted at most \d"),
        ({"pre": [1, 1]}, r"model.pre=\[1, 1\]; wanted one number, or one for each of 3 levels"),
        ({"pre": 0}, "wanted numbers of sweeps"),
        ({"prolongation": 5}, "wanted 3 or 4 taps"),
        ({"boundary": ["auto"] * 3}, "wanted one or 2, one for each of"),
        ({"boundary": "periodic"}, "periodic nodes and a periodic boundary go together"),
        ({"boundary": "robin"}, "wanted dirichlet, neumann or periodic"),
        ({"norm": "layer"}, "model.norm='layer'; wanted one of"),
        ({"norm": "group", "width": 6}, "model.width=6 is no multiple of 4"),
        ({"resolution": "fine"}, "model.resolution='fine'; wanted one of"),
    ],
)
def test_what_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        mgno(square(9), **options)


def test_other_grids_are_refused():
    grid = square(9)
    with pytest.raises(InputError, match="an MgNO maps a grid to itself"):
        MgNO(1, 1, grid, grid.resized((17, 17)))
    with pytest.raises(InputError, match="works on 1 to 3 axes; this grid has 4"):
        mgno(Grid([Axis("time", 2, nodes="left"), *Grid.periodic((2, 2, 2))]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("norm", ["none", "group"])
@pytest.mark.parametrize("bias_modes", [1, 3])
def test_autocast(bias_modes, norm, dtype):
    model, a = mgno(square(17), norm=norm, bias_modes=bias_modes), torch.randn(2, 1, 17, 17)
    for layer in model.layers:
        torch.nn.init.normal_(layer.bias.weight if layer.bias else layer.norm.bias)
    with torch.autocast("cpu", dtype=dtype):
        half = model(a)
    half.float().square().sum().backward()
    assert half.dtype == dtype
    assert (half - model(a)).norm() < 0.05 * model(a).norm()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("nodes", "resolution"),
    [("periodic", "native"), *((n, r) for n in ("uniform", "cell") for r in ("native", "resample", "cascade"))],
)
def test_no_samples(nodes, resolution):
    model = mgno(square(9, nodes, None if nodes == "periodic" else "neumann"), resolution=resolution)
    for n in (9, 12):
        a = torch.randn(0, 1, n, n, requires_grad=True)
        u = model(a)
        u.sum().backward()
        assert u.shape == a.grad.shape == (0, 1, n, n)


def test_transforms_of_functions():
    """Directional derivatives by central differences; samples and ensembles by vmap; one graph for compilers."""
    grid = Grid([Axis("x", 9), Axis("y", 8, nodes="cell", bc="neumann")])
    model, a = mgno(grid, bias_modes=2).double(), torch.randn(3, 1, 9, 8, dtype=torch.float64)
    da, eps = torch.randn_like(a), 1e-5
    du = jvp(model, (a,), (da,))[1]
    difference = (model(a + eps * da) - model(a - eps * da)) / (2 * eps)
    assert (du - difference).norm() < 1e-8 * du.norm()
    torch.testing.assert_close(vmap(lambda x: model(x[None])[0])(a), model(a))
    other = mgno(grid, bias_modes=2, skip=True).double()
    torch.nn.init.normal_(other.projection.weight)
    parameters, buffers = stack_module_state([model, other])
    both = vmap(lambda p, b: functional_call(model, (p, b), (a,)))(parameters, buffers)
    torch.testing.assert_close(both, torch.stack([model(a), other(a)]))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(a), model(a))
    compiled(a).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("resolution", ["resample", "cascade"])
def test_other_sizes_without_numbers_and_in_one_graph(resolution):
    """On a meta device, exported, and compiled before anything was run."""
    model, a = mgno(square(9), resolution=resolution).eval(), torch.randn(2, 1, 13, 15)
    with torch.device("meta"):
        assert mgno(square(9), resolution=resolution)(torch.randn(2, 1, 11, 14)).shape == (2, 1, 11, 14)
    for dynamic in (False, True):
        torch._dynamo.reset()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True, dynamic=dynamic)
        torch.testing.assert_close(compiled(a), model(a))
    torch.testing.assert_close(torch.export.export(model, (a,)).module()(a), model(a))
