"""What is asked of the NSM, and of the published formulation beside it."""

from math import pi

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pdeops.bases.differences import differentiation_matrix
from pdeops.bases.expansions import along
from pdeops.bases.fourier import resample
from pdeops.bases.polynomials import LegendreSeries
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.residual import Residual
from pdeops.models.nsm import NSM
from pdeops.models.nsm_published import NSMPublished
from pdeops.nn.coefficients import Nodes
from pdeops.nn.normalizer import Normalizer
from pdeops.nn.on_lattice import output
from pdeops.nn.spectral_conv import Transform
from pdeops.norms import Lp
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.reaction_diffusion import ReactionDiffusion
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.surrogate import Surrogate
from pdeops.window import Window


def walls(*n, bc="dirichlet", nodes="chebyshev"):
    return Grid(Axis(name, k, 2.0, nodes, start=-1.0, bc=bc) for name, k in zip("xyz", n, strict=False))


def build(grid, channels=(1, 1), kind=NSM, **options):
    torch.manual_seed(0)
    grids = grid if isinstance(grid, tuple) and isinstance(grid[0], Grid) else (grid, grid)
    small = {"width": 8, "depth": 2, "modes": 6} | ({"nodes": 12} if kind is NSM else {})
    return kind(*channels, *grids, **small | options)


def smooth(grid):
    """A polynomial along axes with walls, a wave along others, the same function on every lattice."""
    v = torch.ones(grid.shape, dtype=torch.float64)
    for i, axis in enumerate(grid):
        s = (axis.points() - axis.start) / axis.length
        line = torch.cos(2 * pi * s) + 0.5 if axis.periodic else 1 + s - 3 * s**3
        v = v * line.view(-1, *(1,) * (grid.ndim - 1 - i))
    return v[None, None].float()


def evolution(frames=6, n=16):
    problem = ReactionDiffusion(n=n, frames=frames)
    window = Window(n_out=frames, history="time").on(problem.grid, ("u",), ())
    return problem, window


def degrees(u, axis):
    """(..., n) on chebyshev nodes -> the largest coefficient of each Legendre polynomial."""
    return (u @ LegendreSeries(axis).analysis().T).abs().flatten(0, -2).amax(0)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "free"])
def test_the_output_is_one_polynomial_with_its_conditions(bc):
    """Of degree n - 1, on any nodes, from any resolution of the input, whatever the weights."""
    grid, finer = walls(12, 12, bc=bc), walls(20, 17, bc=bc)
    model, a = build(grid, modes=10).double(), smooth(grid).double()
    fine = model(a, finer).detach()
    for i, axis in enumerate(finer):
        u = fine.movedim(i + 2, -1)
        slope = u @ differentiation_matrix(axis.points(), axis.n - 1).T
        ends = {"dirichlet": u, "neumann": slope}.get(bc, 0 * u)[..., [0, -1]]
        assert ends.abs().max() < 1e-10 * slope.abs().max()
        found = degrees(u, axis)
        assert found[12:].max() < 1e-12 * found.max()
        assert found[:12].min() > 1e-8 * found.max()
    other = walls(9, 14, bc=bc, nodes="cell")
    torch.testing.assert_close(model(a, other).flatten(2), model(a, other.points().flatten(0, 1)))
    again = build(finer, modes=10).double()
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(smooth(finer).double()), fine)


def test_conditions_of_each_end_are_those_of_the_output():
    """alpha u + beta du/dn, n outwards, on a box of length 2; data come by the problem's constraint."""
    sides = {"x": [[1.0, 0.0], [0.0, 1.0]], "y": [[1.0, 0.5], [2.0, 3.0]]}
    grid = walls(12, 12, bc="free")
    model, a = build(grid, modes=10, conditions=sides).double(), smooth(grid).double()
    u = model(a).detach()
    for i, axis in enumerate(grid):
        v = u.movedim(i + 2, -1)
        slope = v @ differentiation_matrix(axis.points(), axis.n - 1).T
        for end, sign in ((0, -1), (-1, 1)):
            alpha, beta = sides[axis.name][end]
            assert (alpha * v[..., end] + sign * beta * slope[..., end]).abs().max() < 1e-10 * slope.abs().max()
    with pytest.raises(InputError, match="walls of axis 'z' of"):
        build(grid, conditions={"z": sides["x"]})


def test_periodic_axes_have_fourier_series():
    grid = Grid([Axis("x", 16), *walls(12)[:0], Axis("y", 12, 1.0, "chebyshev", bc="dirichlet")])
    model, a = build(grid, nodes=[10, 12]).double(), smooth(grid).double()
    u = model(a, grid.resized((10, 12)))
    torch.testing.assert_close(model(a, grid.resized((36, 12))), resample(u.mT, (36,)).mT)
    points = torch.rand(7, 2, dtype=torch.float64)
    torch.testing.assert_close(model(a, points + torch.tensor([3.0, 0.0])), model(a, points))
    own = points.expand(2, -1, -1) * torch.tensor([1.0, 0.5]).view(2, 1, 1)
    both = model(a.expand(2, -1, -1, -1), own)
    torch.testing.assert_close(both[1:], model(a, own[1]))


def test_inputs_are_functions():
    """On other nodes of any kind the same function gives the same output."""
    grid = walls(12, 12)
    model = build(grid).double()
    u = model(smooth(grid).double(), grid)
    torch.testing.assert_close(model(smooth(grid.resized((31, 17))).double(), grid), u)
    uniform = build(walls(40, 40, nodes="uniform")).double()
    torch.testing.assert_close(uniform(smooth(uniform.grid_in).double(), grid), u, rtol=1e-5, atol=1e-7)


def test_the_initial_condition_is_exact_and_time_a_polynomial():
    _, window = evolution()
    model = build((window.grid_in, window.grid_out), nodes=[5, 12], modes=[5, 6], coordinates=False).double()
    a = torch.rand(2, 1, 1, 16, dtype=torch.float64)
    u = model(a, model.collocation)
    assert model.collocation.shape == (12, 24)
    torch.testing.assert_close(u[:, :, 0], resample(a[:, :, 0], (24,)))
    found = degrees(u.detach().movedim(2, -1), model.collocation[0])  # of t N, N of degree 4
    assert found[6:].max() < 1e-12 * found.max()
    assert found[5] > 1e-8 * found.max()
    assert model(a).shape == (2, 1, 6, 16)
    once = Grid([Axis("time", 1, 1 / 6, "right"), *window.grid_out.space])
    torch.testing.assert_close(model(a, once), model(a)[:, :, :1])
    frames = window.grid_out.points().flatten(0, 1)
    torch.testing.assert_close(model(a, frames).unflatten(2, (6, 16)), model(a), rtol=1e-2, atol=1e-3)
    in_space = window.grid_out.space.resized((32,))
    torch.testing.assert_close(model(a, in_space)[..., ::2], model(a))
    one = [Normalizer(torch.zeros(1), torch.ones(1)) for _ in range(2)]
    surrogate = Surrogate(model, window, *one, evolution()[0]).double()
    torch.testing.assert_close(surrogate.predict(a, in_space), model(a, in_space))


def test_without_coordinates_it_commutes_with_translations():
    _, window = evolution()
    a = torch.rand(2, 1, 1, 16, dtype=torch.float64)
    for coordinates, moves in ((False, True), (True, False)):
        model = build((window.grid_in, window.grid_out), nodes=[5, 16], modes=[5, 6], coordinates=coordinates).double()
        same = torch.allclose(model(a.roll(3, -1)), model(a).roll(3, -1))
        assert same == moves


@pytest.mark.parametrize("everywhere", [True, False])
def test_coordinates_are_those_of_the_nodes(everywhere):
    """Without a jump on periodic axes."""
    grid = Grid([Axis("x", 8, 2.0, start=1.0), *walls(9, 9)[1:]])
    model, seen = build(grid, nodes=[8, 9], coordinates=everywhere), []
    model.lifting.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0]))
    model(torch.zeros(1, 1, 8, 9))
    x, y = (v.float() for v in grid.points().unbind(-1))
    angle = pi * (x - 1)
    expected = [0 * x, *([angle.cos(), angle.sin()] if everywhere else []), (y + 1) / 2]
    torch.testing.assert_close(seen[0], torch.stack(expected, -1))


def test_a_constant_bias_is_a_constant():
    """Layers without weights give their bias on any grid; on coefficients it is a spike in the corner."""
    grid = walls(12, 12, bc="free")
    model = build(grid).double()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(model.projection[2].bias, 0.7)
    u = model(smooth(grid).double(), walls(30, 9, bc="free", nodes="uniform"))
    torch.testing.assert_close(u, torch.full_like(u, 0.7))
    published = build(grid, kind=NSMPublished, scale=1.0).double()
    for parameter in published.parameters():
        torch.nn.init.zeros_(parameter)
    torch.nn.init.constant_(published.network.last[2].bias, 0.7)
    v = published(smooth(grid).double(), grid).detach()
    assert v[0, 0, -1, -1] == pytest.approx(0.7 * 6**2)
    assert v.std() > 1


def test_transforms_are_those_of_the_mode_wise_convolutions(monkeypatch):
    """Two of each channel in a layer, where the published formulation has 28 width beside those of its head."""
    grid, counts = walls(12, 12), {"channels": 0}

    def counted(owner, name, channels):
        original = getattr(owner, name)

        def call(self, *arguments, **named):
            counts["channels"] += channels(arguments[0])
            return original(self, *arguments, **named)

        monkeypatch.setattr(owner, name, call)

    for name in ("analyse", "synthesise"):
        counted(Transform, name, lambda v: v.shape[-1])
    for name in ("to_modes", "to_values"):
        counted(Nodes, name, lambda v: v.shape[-1])
    a = smooth(grid)
    build(grid, depth=4)(a)
    assert counts["channels"] == 8 * 8
    counts["channels"] = 0
    build(grid, kind=NSMPublished, depth=4)(a)
    assert counts["channels"] == 28 * 8 + 3 + 2


def test_the_output_begins_at_the_scale_of_solutions():
    """Computed from the equation and inputs alone."""
    problem = SpectralPoisson(n=16, nodes="chebyshev", source=GaussianProcess())
    window = Window().on(problem.grid, ("u",), ("source",))
    a = problem.sample(range(32), 0)
    truth = problem.solve(a).u
    model = build(problem.grid, width=32, depth=4, nodes=16, modes=14)
    scale = Residual(window, problem=problem, s=-2, alpha=0, collocation=model.collocation).scale(a)
    assert scale == pytest.approx(float(truth.std()), rel=0.3)
    one = Normalizer(torch.zeros(1), torch.ones(1))
    surrogate = Surrogate(model, window, one, Normalizer(torch.zeros(1), torch.tensor([scale])), problem)
    u, size = surrogate(a.float()).detach(), Lp(problem.grid)
    assert float(size(truth).mean()) / 30 < float(size(u).mean()) < 3 * float(size(truth).mean())


def test_residuals_are_those_of_the_series():
    """On the model's lattice products of two outputs are exact: the residual is the same function on a finer one."""
    problem, window = evolution(n=16)
    model = build((window.grid_in, window.grid_out), nodes=[6, 16], coordinates=False)
    a = problem.stored(problem.sample([0, 1], 0)).unsqueeze(2).float()
    for mild in (False, True):
        series = []
        for oversampling in (1.0, 2.0, 3.0):
            model.oversampling = oversampling
            grid = model.collocation
            loss = Residual(window, problem=problem, s=0, mild=mild, collocation=grid)
            u, start = model(a, grid), resample(a[:, :, 0].double(), grid.space.shape)
            series.append(loss.residual(start, u, grid)[..., :: grid.space.shape[0] // 16])
        found = [float(x[:, :, -1].norm()) for x in series]  # at the end of the time
        assert found[1] == pytest.approx(found[2], rel=1e-9)
        assert found[0] != pytest.approx(found[2], rel=1e-5)


def test_single_precision_costs_a_residual_few_digits():
    """Values of the network are single, their series is double: transformed or evaluated in single precision, second
    derivatives would have a thousand times the noise."""
    problem = SpectralPoisson(n=63, nodes="chebyshev", source=GaussianProcess())
    model, a = build(problem.grid, nodes=63, oversampling=1.0), problem.sample([0], 0)
    grid, truth = model.collocation, problem.solve(a).u
    c = model.series.to_modes(truth)
    assert problem.residual(a, output(model, c, a.float(), grid), grid).norm() < 1e-8 * a.norm()
    single = model.series.to_values(c.float()).double()
    assert problem.residual(a, single, grid).norm() > 1e-5 * a.norm()
    assert model(a.float(), grid).dtype == model.coefficients(a.float()).dtype == torch.float64
    assert model(a.float(), problem.grid.resized((20, 20))).dtype == torch.float32


class Largest(TorchDispatchMode):
    """The most numbers that one tensor holds."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and not out.is_meta:
            self.numel = max(self.numel, out.untyped_storage().nbytes() // out.element_size())
        return out


def test_evaluation_goes_axis_by_axis():
    """No tensor larger than the output itself, however many modes; at points none of points times all modes."""
    for nodes in (8, 32):
        grid = walls(9, 9)
        model, a = build(grid, nodes=nodes), smooth(grid)
        fine, points = grid.resized((512, 512)), 2 * torch.rand(20_000, 2) - 1
        with torch.no_grad():
            model(a, fine)
            with Largest() as seen:
                model(a, fine)
            assert seen.numel <= 512**2
            with Largest() as seen:
                model(a, points)
            assert seen.numel <= 20_000 * nodes


@pytest.mark.parametrize("kind", [NSM, NSMPublished])
def test_what_vanishes_at_walls_is_not_centred(kind):
    """Zero must be zero in physical units; of an evolution the last frame has the mean of all."""
    assert build(walls(12, 12), kind=kind).walls
    assert not build(walls(12, 12, bc="neumann"), kind=kind).walls
    x = Axis("x", 12, 1.0, "uniform", bc="dirichlet")
    before, after = Axis("time", 1, 0.1, "right", start=-0.1), Axis("time", 4, 0.4, "right")
    assert not build((Grid([before, x]), Grid([after, x])), kind=kind).walls


def test_published_walls_and_scale():
    grid = walls(12, 12)
    model, a = build(grid, kind=NSMPublished, modes=12, scale=2.0).double(), smooth(grid).double()
    u = model(a)
    assert u[..., [0, -1], :].abs().max() < 1e-12
    model.scale = 1.0
    torch.testing.assert_close(2 * model(a), u)
    x, y = ((axis.points() + 1) / 2 for axis in grid)
    plain = build(walls(12, 12, bc="free"), kind=NSMPublished, modes=12, scale=2.0).double()
    torch.testing.assert_close(plain(a) * torch.outer(torch.sin(pi * x), torch.sin(pi * y)), u)


@pytest.mark.parametrize("bc", ["dirichlet", "free", "periodic"])
def test_a_head_that_inverts_the_laplacian(bc):
    """-Laplace of the output is the output without it, projected, in units of the largest factor."""
    grid = Grid.periodic((12, 12), 2.0) if bc == "periodic" else walls(12, 12, bc=bc)
    plain, model = build(grid).double(), build(grid, head="inverse_laplacian").double()
    a = smooth(grid).double()
    c, expected = model.coefficients(a), plain.coefficients(a)
    space = model.series
    least = {"dirichlet": 2 * (pi / 2) ** 2, "free": (pi / 2) ** 2, "periodic": pi**2}[bc]
    back = sum(
        along(one.gram().inverse() @ one.stiffness(), c, dim) for dim, one in zip((-2, -1), space.series, strict=True)
    )
    constant = torch.zeros_like(expected)
    if bc != "dirichlet":
        constant[..., 0, 0] = expected[..., 0, 0]
        assert space.integral(c).abs().max() < 1e-10
    torch.testing.assert_close(back, least * (expected - constant), rtol=1e-3, atol=1e-5)
    assert model(a).shape == plain(a).shape


def test_time_as_channels():
    """The network is one of space; all else, exact start and polynomials in time, is as with a time axis."""
    _, window = evolution()
    model = build((window.grid_in, window.grid_out), nodes=[5, 12], time="channels").double()
    assert model.blocks[0].spectral.modes == (6,)
    a = torch.rand(2, 1, 1, 16, dtype=torch.float64)
    u = model(a, model.collocation)
    torch.testing.assert_close(u[:, :, 0], resample(a[:, :, 0], (24,)))
    found = degrees(u.detach().movedim(2, -1), model.collocation[0])
    assert found[6:].max() < 1e-12 * found.max()
    assert found[:6].min() > 1e-5 * found.max()
    values = model.projection[2].bias.detach().clone()
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    model.projection[2].bias.data.copy_(values)
    at_nodes = model(a, model.lattice) - resample(a, (12,))
    t = model.lattice[0].points().view(-1, 1)
    torch.testing.assert_close(at_nodes[0, 0], (t * values[:, None]).expand(5, 12))
    with pytest.raises(InputError, match="time=channels"):
        build(walls(9, 9), time="channels")


def test_what_is_refused():
    _, window = evolution()
    with pytest.raises(InputError, match="a history of 2 frames"):
        build((window.grid_in, window.grid_out))(torch.zeros(1, 1, 2, 16))
    with pytest.raises(InputError, match="the states come first"):
        build((window.grid_in, window.grid_out), channels=(1, 2))
    with pytest.raises(InputError, match=r"model.nodes=\[3, 3\]"):
        build(walls(9, 9), nodes=3)
    with pytest.raises(InputError, match=r"model.modes=\[9, 10\]: more than the nodes hold, model.nodes=\[9, 9\]"):
        build(walls(9, 9), nodes=9, modes=[9, 10])
    with pytest.raises(InputError, match=r"NSM got an input .* with 1 of axis 'x': wanted at least 2 chebyshev nodes"):
        build(walls(9, 9))(torch.zeros(1, 1, 1, 9))
    with pytest.raises(InputError, match="oversampling"):
        build(walls(9, 9), oversampling=0.5)
    with pytest.raises(InputError, match="outside the domain"):
        build(walls(9, 9))(smooth(walls(9, 9)), Grid([Axis("x", 5, 3.0, "uniform", start=-1.0), walls(9, 9)[1]]))
