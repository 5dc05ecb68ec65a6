"""What every steady problem must satisfy. A new problem adds a line to VARIANTS."""

import inspect
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from math import log2, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import spsolve

import pdeops.problems
from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems import elliptic
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.problems.convection_diffusion import ConvectionDiffusion
from pdeops.problems.darcy import Darcy, Darcy3D
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.heat import Heat
from pdeops.problems.helmholtz import Helmholtz
from pdeops.problems.inputs import Inputs
from pdeops.problems.poisson import Poisson
from pdeops.solvers.auto import Auto
from pdeops.solvers.direct import Direct
from pdeops.solvers.multigrid import Multigrid
from pdeops.solvers.sequences import GCRODR, GMRES
from pdeops.solvers.steppers import Stepper
from pdeops.solvers.systems import Solves
from pdeops.solvers.transforms import Transforms
from pdeops.solvers.volumes import areas, inner, placed, spacing, unknowns, volumes

LEFT, RIGHT = -3.0, 5.0


def conductivity(x):
    return torch.exp(0.6 * torch.sin(2 * x[..., 0] + 1) * torch.cos(3 * x[..., 1]) + 0.3 * x[..., -1])


def speed(x):
    return 20 + torch.sin(3 * x[..., 0]) * torch.cos(2 * x[..., 1])


def stream(x):
    return 0.3 * torch.sin(3 * x[..., 0] + 0.5) * torch.cos(2 * x[..., 1] + 0.2)


def vanishing(x):
    """Zero on all sides."""
    return torch.sin(pi * x).prod(-1) * torch.exp(x[..., 0] - 0.5 * x[..., -1])


def insulated(x):
    """Without flux through the sides, and without a mean."""
    return torch.cos(pi * x[..., 0]) * torch.cos(2 * pi * x[..., 1])


def between(x):
    """LEFT and RIGHT at the ends of x, without flux through the ends of y."""
    bump = torch.sin(pi * x[..., 0]) * torch.cos(pi * x[..., 1]) * torch.exp(x[..., 0])
    return LEFT + (RIGHT - LEFT) * x[..., 0] ** 2 + bump


def anything(x):
    return torch.cos(3 * x[..., 0] + 0.4) * torch.exp(0.7 * x[..., 1])


def gradient(u, x):
    return torch.autograd.grad(u.sum(), x, create_graph=True)[0]


@dataclass
class Variant:
    """A problem, an exact solution with its boundary conditions, and what the inputs are made of."""

    cls: type
    settings: dict
    u: Callable
    order: int = 2
    coarse: int = 33  # nodes per side
    known: dict = field(default_factory=dict)  # inputs as functions, by name

    def make(self, n=None, **settings):
        return self.cls(**{"n": n or self.coarse, "solver": Direct(1e-12)} | self.settings | settings)

    def fields(self, problem):
        """Inputs (1, C_in, *grid), the solution and the source (*grid), by differentiating."""
        x = problem.solved_on.points().requires_grad_()
        known = {name: f(x) for name, f in self.known.items()}
        u = self.u(x)
        k = known.get("permeability", known.get("conductivity", torch.ones_like(u)))
        if "stream" in known:
            k = problem.diffusivity * k
        flux = -k.unsqueeze(-1) * gradient(u, x)
        if "stream" in known:
            psi = gradient(known["stream"], x)
            flux = flux + torch.stack([psi[..., 1], -psi[..., 0]], dim=-1) * u.unsqueeze(-1)
        f = sum(gradient(flux[..., d], x)[..., d] for d in range(x.shape[-1]))
        if "speed" in known:
            f = f - (problem.frequency / known["speed"]) ** 2 * u
        known["source"] = f
        known |= {"left": torch.full_like(u, LEFT), "right": torch.full_like(u, RIGHT)}
        a = torch.stack([known[name] for name in problem.in_names])[None]
        return a.detach(), u.detach(), f.detach(), gradient(u, x).detach()


def two(cls, u, known, **settings):
    """On nodes with both ends and on cells."""
    return [Variant(cls, {"nodes": nodes, **settings}, u, known=known) for nodes in ("uniform", "cell")]


K = {"permeability": conductivity}
VARIANTS = {
    **dict(zip(("darcy", "darcy on cells"), two(Darcy, vanishing, K), strict=True)),
    **dict(zip(("darcy arithmetic", "its cells"), two(Darcy, vanishing, K, mean="arithmetic"), strict=True)),
    "darcy3d": Variant(Darcy3D, {}, vanishing, coarse=9, known=K),
    "darcy3d on cells": Variant(Darcy3D, {"nodes": "cell"}, vanishing, coarse=8, known=K),
    **dict(zip(("poisson", "poisson on cells"), two(Poisson, vanishing, {}), strict=True)),
    **dict(zip(("neumann", "neumann on cells"), two(Poisson, insulated, {}, sides="neumann"), strict=True)),
    **dict(zip(("heat", "heat on cells"), two(Heat, between, {"conductivity": conductivity}), strict=True)),
    "heat arithmetic": Variant(Heat, {"mean": "arithmetic"}, between, known={"conductivity": conductivity}),
    "helmholtz": Variant(Helmholtz, {"frequency": 120.0}, anything, known={"speed": speed}),
    "helmholtz dirichlet": Variant(
        Helmholtz, {"frequency": 120.0, "sides": "dirichlet"}, vanishing, known={"speed": speed}
    ),
    "helmholtz absorbing": Variant(
        Helmholtz, {"frequency": 120.0, "sides": "absorbing"}, anything, known={"speed": speed}
    ),
    **{
        f"convection {fluxes}": Variant(
            ConvectionDiffusion, {"diffusivity": 0.1, "fluxes": fluxes}, vanishing, order, known={"stream": stream}
        )
        for fluxes, order in (("exponential", 2), ("upwind", 1), ("central", 2))
    },
}


@pytest.fixture(params=VARIANTS)
def variant(request):
    return VARIANTS[request.param]


def classes():
    for path in Path(pdeops.problems.__file__).parent.glob("*.py"):
        for cls in vars(import_module(f"pdeops.problems.{path.stem}")).values():
            if inspect.isclass(cls) and issubclass(cls, Elliptic) and not inspect.isabstract(cls):
                yield cls


def test_every_steady_problem_is_here():
    assert {v.cls for v in VARIANTS.values()} == set(classes())


def solved(systems, b):
    return torch.from_numpy(spsolve(systems.operator.matrix().tocsc(), b.flatten().numpy())).view(b.shape)


def through_sides(problem, a, u, slopes, grid):
    """What the flux through the sides, du/dn (less i k u, where they absorb), adds to the right-hand side of
    Helmholtz' equation."""
    if not isinstance(problem, Helmholtz) or problem.sides == "dirichlet":
        return 0.0
    absorbed = 1j * problem.frequency / a[0, 0] * u if problem.sides == "absorbing" else 0.0
    out = torch.zeros(grid.shape, dtype=torch.complex128 if problem.sides == "absorbing" else torch.float64)
    for d, axis in enumerate(grid):
        area = areas(grid, d).expand(grid.shape) / spacing(axis)
        for end, sign in ((0, -1), (-1, 1)):
            flux = (sign * slopes[..., d] - absorbed) * area
            out.select(d, end).add_(flux.select(d, end))
    return out


@pytest.mark.parametrize("name", VARIANTS)
def test_manufactured_solutions_converge_at_the_stated_order(name):
    """The operator of variable coefficients, and the right-hand side of sources and boundary values."""
    variant, errors = VARIANTS[name], []
    for refined in (1, 2):
        n = variant.coarse
        uniform = variant.settings.get("nodes", "uniform") == "uniform"
        problem = variant.make(refined * (n - 1) + 1 if uniform else refined * n)
        grid = problem.solved_on
        a, u, f, slopes = variant.fields(problem)
        systems = problem.systems(a, grid)
        if "source" in problem.in_names:
            b = systems.solvable()[0]
        else:
            b = inner(f, grid) * volumes(grid) + through_sides(problem, a, u, slopes, grid)
        if systems.singular:
            x = np.zeros(systems.operator.size)
            x[1:] = spsolve(systems.operator.matrix()[1:, 1:].tocsc(), b.flatten().numpy()[1:])
            x = systems.centred(torch.from_numpy(x).view(1, *b.shape))[0]
        else:
            x = solved(systems, b)
        errors.append(float((x - inner(u, grid)).abs().max()))
    assert errors[0] < 0.1 * float(u.abs().max())
    assert log2(errors[0] / errors[1]) == pytest.approx(variant.order, abs=0.2)


# of a right-hand side that the problem knows by itself


def series(x, dimensions, terms=60):
    """The solution of -Laplace u = 1 in the unit box, zero on its sides, at the point (x, ..., x)."""
    odd = np.arange(1, terms, 2)
    k = np.meshgrid(*[odd] * dimensions)
    modes = np.prod([4 / (pi * i) * np.sin(pi * i * x) for i in k], axis=0)
    return float((modes / (pi**2 * sum(i**2 for i in k))).sum())


@pytest.mark.parametrize(
    ("problem", "coefficient", "factor"),
    [
        (Darcy(n=49, source=3.0), 2.0, 1.5),
        (Darcy3D(n=25, source=3.0), 2.0, 1.5),
        (ConvectionDiffusion(n=49, source=3.0, diffusivity=0.5), 0.7, 6.0),
    ],
)
def test_a_constant_source(problem, coefficient, factor):
    """With a constant stream function there is no flow."""
    a = torch.full((1, 1, *problem.solved_on.shape), coefficient, dtype=torch.float64)
    middle = problem.solve(a).u[(0, 0, *[(n - 1) // 2 for n in problem.grid.shape])]
    assert float(middle) == pytest.approx(factor * series(0.5, problem.dimensions), rel=4e-3)


def by_cosines(problem, x, y, terms=120):
    """Helmholtz' equation with hard walls in a constant medium: the antenna by the ordinary equations of its cosines
    along x, the source by its cosine series."""
    k, m = problem.frequency / 20, np.arange(terms)
    mu = np.sqrt((m * pi) ** 2 - k**2 + 0j)
    lower, upper = 0.5 - problem.antenna, 0.5 + problem.antenna
    g = np.where(m > 0, 2 * (np.sin(m * pi * upper) - np.sin(m * pi * lower)) / (pi * np.maximum(m, 1)), upper - lower)
    # cosh(mu y) / sinh(mu) without overflow
    profile = np.exp(np.multiply.outer(y - 1, mu)) * (1 + np.exp(-2 * np.multiply.outer(y, mu)))
    along_y = profile / (mu * (1 - np.exp(-2 * mu)))  # (y, m)
    out = np.cos(pi * np.outer(x, m)) @ (g[:, None] * along_y.T.real)
    s = np.linspace(0, 1, 401)
    w = np.full(401, 1 / 400)
    w[[0, -1]] /= 2
    one = [
        (2 - (m == 0)) * (np.cos(pi * np.outer(m, s)) @ (w * np.exp(-((s - c) ** 2) / (2 * problem.width**2))))
        for c in problem.centre
    ]
    c = problem.source * np.outer(*one) / ((pi * m[:, None]) ** 2 + (pi * m) ** 2 - k**2)
    return out + np.cos(pi * np.outer(x, m)) @ c @ np.cos(pi * np.outer(m, y))


@pytest.mark.parametrize(("source", "antenna"), [(0.0, 0.15), (1.0, 0.0), (2.0, 0.23)])
def test_waves_in_a_box_are_their_cosine_series(source, antenna):
    errors = []
    for n in (65, 129):
        problem = Helmholtz(n=n, frequency=150.0, source=source, antenna=antenna, width=0.08, solver=Direct())
        u = problem.solve(torch.full((1, 1, n, n), 20.0, dtype=torch.float64)).u[0, 0].numpy()
        x = np.linspace(0, 1, n)
        below = x <= 0.9  # at the antenna's ends the series is slow
        exact = by_cosines(problem, x, x)[:, below]
        errors.append(abs(u[:, below] - exact).max() / abs(exact).max())
    assert errors[0] < 0.03
    assert log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("n", [9, 10, 21, 101])
@pytest.mark.parametrize(("antenna", "width"), [(0.15, 0.3), (0.5, 1.0), (0.7, 1.0), (0.01, 0.02)])
def test_an_antenna_has_its_width_on_every_lattice(n, antenna, width):
    problem = Helmholtz(n=n, source=0.0, antenna=antenna)
    systems = problem.systems(torch.full((1, 1, n, n), 20.0, dtype=torch.float64), problem.grid)
    assert float(systems.b.sum()) / (n - 1) ** 2 == pytest.approx(width)
    assert not systems.b[:, :, :-1].any()


def test_absorbed_waves_run_outwards_as_in_free_space():
    """Of a narrow source: (i/4) H_0(k r), but for the few percent that come back from the sides."""
    from scipy.special import hankel1

    problem = Helmholtz(n=81, frequency=500.0, sides="absorbing", centre=(0.5, 0.5), width=0.03, solver=Direct())
    u = problem.solve(torch.full((1, 1, 81, 81), 20.0, dtype=torch.float64)).u[0].numpy()
    k, r = 25.0, (problem.grid.points() - 0.5).norm(dim=-1).numpy()
    far = (r > 0.15) & (r < 0.45)
    strength = 2 * pi * problem.width**2 * np.exp(-((k * problem.width) ** 2) / 2)
    free = strength * 0.25j * hankel1(0, k * r[far])
    u = (u[0] + 1j * u[1])[far]
    assert np.linalg.norm(u - free) < 0.2 * np.linalg.norm(free)
    assert np.linalg.norm(u.conj() - free) > np.linalg.norm(free)


@pytest.mark.parametrize("nodes", ["uniform", "cell"])
def test_heat_through_layers_is_piecewise_linear(nodes):
    """Harmonic means are exact where layers meet at a face."""
    for mean in ("harmonic", "arithmetic"):
        problem = Heat(n=16, nodes=nodes, mean=mean, solver=Direct(1e-12))
        x = problem.grid.points()[..., 0]
        k = torch.where(x < 0.5, 1.0, 4.0).double()
        ends = (torch.full_like(k, v) for v in (LEFT, RIGHT))
        u = problem.solve(torch.stack([k, torch.zeros_like(k), *ends])[None]).u[0, 0]
        flux = (RIGHT - LEFT) / (0.5 / 1 + 0.5 / 4)
        exact = torch.where(x < 0.5, LEFT + flux * x, RIGHT - flux * (1 - x) / 4)
        error = float((u - exact).abs().max())
        assert error < 1e-10 if mean == "harmonic" else error > 0.05


def test_sources_without_a_mean():
    for nodes in ("uniform", "cell"):
        problem = Poisson(n=12, nodes=nodes, sides="neumann")
        a = problem.sample([0, 1], 0)
        assert (a * problem.grid.weights()).sum((-2, -1)).abs().max() < 1e-14
        solution = problem.solve(a)
        assert solution.residual.max() < 1e-12
        assert (solution.u * problem.grid.weights()).sum((-2, -1)).abs().max() < 1e-14
        assert Poisson(n=12, nodes=nodes).sample([0], 0).mean().abs() > 1e-3


def test_temperatures_are_drawn_from_their_ranges():
    problem = Heat(n=8, left=(1.0, 2.0), right=(3.0, 3.0))
    a = problem.sample(range(40), 0)
    left, right = a[:, 2], a[:, 3]
    assert (left == left[:, :1, :1]).all()
    assert 1 <= left.min() < 1.2 < 1.8 < left.max() <= 2
    assert (right == 3).all()
    # all are drawn apart, of whatever samples and channels, though they be of one law
    both = Heat(n=8, conductivity=problem.source).sample(range(12), 0)
    fields = torch.cat([both[:, 0], both[:, 1]]).flatten(1)
    assert (torch.corrcoef(fields) - torch.eye(24)).abs().max() < 0.999
    for bad in ((2.0, 1.0), (1.0,)):
        with pytest.raises(InputError, match=r"problem\.left=.*: wanted \[low, high\]"):
            Heat(left=bad)


# what operators are


def dense(problem, a):
    return problem.systems(a, problem.solved_on).operator.matrix().toarray()


def rough(problem, low=1.0, high=100.0, seed=0):
    values = np.random.default_rng(seed).uniform(np.log(low), np.log(high), (1, 1, *problem.solved_on.shape))
    return torch.from_numpy(np.exp(values))


@pytest.mark.parametrize("nodes", ["uniform", "cell"])
@pytest.mark.parametrize("mean", ["harmonic", "arithmetic"])
def test_darcy_is_positive_definite_and_conserves(nodes, mean):
    problem = Darcy(n=9, nodes=nodes, mean=mean)
    a = rough(problem)
    matrix = dense(problem, a)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix)[0] > 0
    m = 7 if nodes == "uniform" else 9
    sums = matrix.sum(1).reshape(m, m) / matrix.diagonal().reshape(m, m)
    assert abs(sums[1:-1, 1:-1]).max() < 1e-14
    sums[1:-1, 1:-1] = 1
    assert sums.min() > 1e-3  # through the sides
    assert problem.systems(a, problem.grid).definite


@pytest.mark.parametrize("nodes", ["uniform", "cell"])
def test_insulated_boxes_have_the_constants_as_null_space(nodes):
    problem = Poisson(n=9, nodes=nodes, sides="neumann")
    systems = problem.systems(problem.sample([0], 0), problem.grid)
    matrix = systems.operator.matrix().toarray()
    values = np.linalg.eigvalsh(matrix)
    assert abs(values[0]) < 1e-10
    assert values[1] > 1
    assert abs(matrix.sum(1)).max() < 1e-10
    assert systems.singular
    assert systems.definite


@pytest.mark.parametrize("sides", ["dirichlet", "neumann"])
def test_as_many_negative_eigenvalues_as_modes_below_the_wave_number(sides):
    problem = Helmholtz(n=25, frequency=240.0, sides=sides)
    a = torch.full((1, 1, 25, 25), 20.0, dtype=torch.float64)
    matrix = dense(problem, a)
    np.testing.assert_array_equal(matrix, matrix.T)
    i = np.arange(sides == "dirichlet", 20)
    count = int((pi**2 * (i[:, None] ** 2 + i**2) < 12.0**2).sum())
    assert count == {"dirichlet": 8, "neumann": 15}[sides]
    assert int((np.linalg.eigvalsh(matrix) < 0).sum()) == count
    assert not problem.systems(a, problem.grid).definite


def test_absorbing_sides_take_energy():
    problem = Helmholtz(n=9, frequency=240.0, sides="absorbing")
    matrix = dense(problem, 20 + 0.1 * rough(problem).log())
    np.testing.assert_array_equal(matrix, matrix.T)  # symmetric, not Hermitian
    loss = -matrix.imag
    assert (loss == np.diag(loss.diagonal())).all()
    loss = loss.diagonal().reshape(9, 9).copy()
    assert not loss[1:-1, 1:-1].any()
    loss[1:-1, 1:-1] = 1
    assert loss.min() > 0


@pytest.mark.parametrize("fluxes", ["exponential", "upwind", "central"])
def test_the_flow_has_no_divergence_on_the_nodes(fluxes):
    problem = ConvectionDiffusion(n=10, diffusivity=0.01, fluxes=fluxes)
    operator = problem.systems(rough(problem), problem.grid).operator
    ones = operator.apply(torch.ones(1, 8, 8, dtype=torch.float64))[0] / operator.diagonal[0].abs()
    assert ones[1:-1, 1:-1].abs().max() < 1e-11
    assert ones.abs().max() > 1e-2


def test_fluxes_without_oscillations_are_m_matrices():
    for fluxes, is_one in (("exponential", True), ("upwind", True), ("central", False)):
        problem = ConvectionDiffusion(n=10, diffusivity=1e-3, fluxes=fluxes)
        matrix = dense(problem, rough(problem))
        off = matrix - np.diag(matrix.diagonal())
        assert (off.max() <= 0) == is_one
        if is_one:
            assert (matrix.diagonal() > 0).all()
            assert (matrix.sum(0) / matrix.diagonal()).min() > -1e-14  # a column's fluxes arrive, or leave the box
            assert np.linalg.inv(matrix).min() >= 0


# solutions and residuals


def small(variant, **settings):
    cells = variant.settings.get("nodes") == "cell"
    return variant.make(6 if cells else 7, **settings)


def test_samples_depend_on_seed_and_index_alone(variant):
    problem = small(variant)
    batch = problem.sample(range(5), seed=3)
    assert batch.dtype == torch.float64
    assert batch.shape == (5, len(problem.in_names), *problem.solved_on.shape)
    assert torch.equal(problem.sample([3], seed=3), batch[3:4])
    assert not torch.equal(problem.sample([3], seed=4), batch[3:4])
    assert not torch.equal(batch[0], batch[1])


def test_problems_are_written_down_and_read_back(variant):
    problem = small(variant)
    assert to_config(from_config(to_config(problem))) == to_config(problem)
    assert set(problem.parameters) <= set(to_config(problem))


def test_the_residual_vanishes_on_the_solution_and_has_the_sign_of_the_source(variant):
    problem = small(variant)
    a = problem.sample([4, 2], 1)
    before = a.clone()
    solution = problem.solve(a)
    assert torch.equal(a, before)
    assert solution.converged.all()
    assert solution.residual.max() <= 1e-12
    assert torch.equal(solution.residual, solution.error)
    assert solution.u.shape == (2, len(problem.out_names), *problem.grid.shape)
    assert solution.u.dtype == torch.float64
    grid, systems = problem.grid, problem.systems(a, problem.grid)
    scale = float((systems.b.abs() / volumes(grid)).max())
    assert problem.residual(a, solution.u, grid).abs().max() < 1e-9 * scale
    assert torch.equal(a, before)
    # b - A u, per volume
    nothing = inner(problem.residual(a, torch.zeros_like(solution.u), grid), grid)
    torch.testing.assert_close(nothing, problem.channels(systems.b / volumes(grid)))
    u = torch.randn_like(solution.u)
    wanted = (systems.b - systems.operator.apply(problem.unknowns(u, grid))) / volumes(grid)
    torch.testing.assert_close(inner(problem.residual(a, u, grid), grid), problem.channels(wanted))
    single = problem.residual(a.float(), solution.u.float(), grid)
    assert single.dtype == torch.float32


def test_the_residual_is_differentiable_and_sees_boundary_values(variant):
    problem = small(variant)
    a, grid = problem.sample([0], 0), problem.grid
    u = torch.randn(1, len(problem.out_names), *grid.shape, dtype=torch.float64, requires_grad=True)
    r = problem.residual(a, u, grid)
    (pulled,) = torch.autograd.grad((r * r.detach()).sum(), u)
    step = torch.randn_like(u)
    difference = problem.residual(a, u + step, grid) - r  # linear in u
    assert float((pulled * step).sum()) == pytest.approx(float((difference * r).sum().detach()))
    solution = problem.solve(a).u
    outside = torch.ones(grid.shape, dtype=torch.float64)
    inner(outside, grid)[...] = 0
    wrong = solution + outside
    seen = problem.residual(a, wrong, grid) * outside
    torch.testing.assert_close(seen, (-outside).expand_as(seen))
    # at every node: a wrong value anywhere shows
    corner = solution.clone()
    corner[(..., *(0,) * grid.ndim)] += 1
    assert problem.residual(a, corner, grid).abs().max() > 0.5


def test_the_residual_is_bound_to_its_grid(variant):
    problem = small(variant)
    a, other = problem.sample([0], 0), Grid(replace(axis, length=2 * axis.length) for axis in problem.grid)
    with pytest.raises(InputError, match="the residual is formed on Grid"):
        problem.residual(a, torch.zeros(1, len(problem.out_names), *other.shape), other)


def test_the_residual_on_fewer_nodes_is_that_of_their_problem(variant):
    cells = variant.settings.get("nodes") == "cell"
    problem, fewer = (variant.make(n) for n in ((18, 6) if cells else (13, 7)))
    a = problem.sample([0, 1], 0)[problem.grid.every(3 if cells else 2)]
    solution = fewer.solve(a).u
    size = fewer.residual(a, torch.zeros_like(solution), fewer.grid).abs().max()
    assert problem.residual(a, solution, fewer.grid).abs().max() < 1e-9 * size
    assert problem.residual(a, 1.1 * solution, fewer.grid).abs().max() > 1e-3 * size


def test_inputs_on_other_nodes_are_refused():
    problem = Darcy(n=5, resolution=13)
    a = problem.sample([0], 0)
    u = problem.solve(a).u
    with pytest.raises(InputError, match=r"darcy: inputs of shape \(1, 1, 5, 5\); wanted \(B, 1, 13, 13\)"):
        problem.solve(problem.stored(a))
    with pytest.raises(InputError, match=r"darcy: inputs of shape \(1, 1, 13, 13\); wanted \(B, 1, 5, 5\)"):
        problem.residual(a, u, problem.grid)
    assert problem.residual(problem.stored(a), u, problem.grid).isfinite().all()


def test_a_finer_resolution_is_stored_at_its_own_nodes(variant):
    cells = variant.settings.get("nodes") == "cell"
    problem = variant.make(5, resolution=15 if cells else 13)
    fine = variant.make(15 if cells else 13)
    a = problem.sample([1], 0)
    assert torch.equal(a, fine.sample([1], 0))
    points = fine.grid.points().movedim(-1, 0)[None]
    torch.testing.assert_close(problem.stored(points)[0].movedim(0, -1), problem.grid.points())
    every = (..., *[slice(1, None, 3) if cells else slice(None, None, 3)] * problem.dimensions)
    assert torch.equal(problem.stored(a), a[every])
    assert torch.equal(problem.solve(a).u, fine.solve(a).u[every])
    assert torch.equal(problem.stored(problem.stored(a)), problem.stored(a))


def test_resolutions_without_the_stored_nodes_are_refused():
    with pytest.raises(InputError, match=r"problem\.resolution=24: wanted m \(9 - 1\) \+ 1 with a whole number m"):
        Darcy(n=9, resolution=24)
    with pytest.raises(InputError, match=r"resolution=18: wanted m 9 with an odd whole number m, so that the 9"):
        Darcy(n=9, resolution=18, nodes="cell")
    for bad in (5, 0, -7):
        with pytest.raises(InputError, match=f"problem.resolution={bad}: wanted"):
            Darcy(n=9, resolution=bad)
    assert Darcy(n=9, resolution=27, nodes="cell").solved_on.shape == (27, 27)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Darcy(nodes="periodic"), "problem.nodes='periodic': darcy is solved on one of"),
        (lambda: Helmholtz(nodes="cell"), "helmholtz is solved on one of"),
        (lambda: Darcy(n=3), "problem.n=3, problem.length=1.0: wanted n >= 4"),
        (lambda: Darcy(length=0.0), "length > 0"),
        (lambda: Darcy(solver=Stepper()), "problem.solver=Stepper: darcy is steady, and wants a solver of linear"),
        (lambda: Poisson(sides="absorbing"), "problem.sides='absorbing'; wanted one of"),
        (lambda: Helmholtz(sides="soft"), "problem.sides='soft'; wanted one of"),
        (lambda: Helmholtz(width=0.0), "problem.width=0.0: wanted two numbers, and width > 0"),
        (lambda: Helmholtz(centre=(0.5,)), "wanted two numbers"),
        (lambda: Helmholtz(source=0.0), "nothing drives the waves"),
        (lambda: Helmholtz(source=0.0, antenna=0.1, sides="dirichlet"), "nothing drives the waves"),
        (lambda: ConvectionDiffusion(diffusivity=0.0), "problem.diffusivity=0.0; wanted a positive number"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)


def test_few_points_per_wavelength_are_warned_of(caplog):
    Helmholtz(n=41, frequency=500.0).sample([0], 0)
    assert not caplog.records
    Helmholtz(n=25, frequency=500.0).sample([0], 0)  # 2 pi 20 / 500 * 24 = 6.03
    (record,) = caplog.records
    assert record.message == "helmholtz: 6.0 points per wavelength are few; raise problem.resolution"


@dataclass(frozen=True)
class Spoilt(Direct):
    """Solutions of which one is wrong."""

    which: int = 1

    def solve(self, systems, progress=None):
        solves = Direct.solve(self, systems, progress)
        x = solves.x.clone()
        if len(x) > self.which:
            x[self.which] *= 1.01
        return Solves(x, systems.residual(x), *solves[2:4], ("spoilt",) * len(x))


def test_what_misses_the_tolerance_is_solved_directly(caplog, monkeypatch):
    exact, problem = Darcy(n=7, solver=Direct()), Darcy(n=7, solver=Spoilt())
    a = problem.sample(range(3), 0)
    solution = problem.solve(a)
    torch.testing.assert_close(solution.u, exact.solve(a).u)
    assert solution.converged.all()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message == "darcy: 1 of 3 samples missed the tolerance (spoilt) and are solved directly"
    # a direct solver that fails as well leaves a sample that says so
    monkeypatch.setattr(elliptic, "Direct", lambda tolerance: Spoilt(tolerance, which=0))
    solution = problem.solve(a)
    assert solution.converged.tolist() == [True, False, True]
    assert float(solution.residual[1]) == pytest.approx(0.01)


@pytest.mark.parametrize("solver", [Direct(), Multigrid(1e-11), GMRES(1e-11), GCRODR(1e-11, recycle=True)])
def test_solutions_do_not_depend_on_chunks(solver, monkeypatch):
    problem = Heat(n=7, solver=solver)
    a, seen = problem.sample(range(5), 0), []
    whole = problem.solve(a)
    monkeypatch.setattr(elliptic, "CHUNK", 100)  # two samples of 49 nodes
    parts = problem.solve(a, seen.append)
    torch.testing.assert_close(parts.u, whole.u, rtol=1e-9, atol=1e-9)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    assert len(seen) >= 3


def test_choices_are_made_once_by_pilot_samples():
    for problem, cls in ((Darcy(n=9), Multigrid), (Poisson(n=9), Transforms), (Helmholtz(n=9), Direct)):
        drawn, sample = [], type(problem).sample
        problem.sample = lambda indices, seed, drawn=drawn, p=problem, f=sample: (
            drawn.extend(indices) or f(p, indices, seed)
        )
        settled, reason = problem.settled(range(100, 200), 3)
        assert drawn == list(range(100, 106))
        assert isinstance(problem.solver, Auto)
        assert isinstance(settled.solver, cls)
        assert reason.startswith(f"solver: {cls.__name__.lower()}")
        assert to_config(settled) | {"solver": None} == to_config(problem) | {"solver": None}
        again, reason = settled.settled(range(6), 3)
        assert (to_config(again), reason) == (to_config(settled), "")
        assert list(settled.order(range(5), 3)) == [0, 1, 2, 3, 4]


def test_samples_are_ordered_for_a_solver_that_recycles():
    problem = Darcy(n=9, permeability=VARIANTS["darcy"].make().permeability, solver=GCRODR(recycle=True))
    indices = range(10, 40)
    order = problem.order(indices, 0)
    assert sorted(order) == list(indices)
    assert order[0] == 10
    logs = problem.sample(order, 0).log().flatten(1)
    steps = torch.cdist(logs, logs)
    for i in range(len(order) - 1):  # always the nearest that is left
        assert steps[i, i + 1] < (1 + 1e-9) * steps[i, i + 1 :].min()
    assert problem.order(indices, 0) == order
    for unsorted in (GCRODR(recycle=False), GCRODR(recycle=True, sort=False), Direct()):
        assert Darcy(n=9, solver=unsorted).order(indices, 0) is indices


def test_the_pilot_of_a_solver_that_recycles_are_neighbours(monkeypatch):
    problem, seen = Darcy(n=9, solver=GCRODR()), []
    monkeypatch.setattr(GCRODR, "settled", lambda self, pilot: seen.append(pilot) or (self, "because"))
    assert problem.settled(range(300), 0)[1] == "because"
    order = problem.order(range(elliptic.NEIGHBOURS), 0)
    expected = problem.systems(problem.sample(order[: elliptic.PILOT], 0), problem.grid)
    assert all(torch.equal(x, y) for x, y in zip(seen[0].operator.forward, expected.operator.forward, strict=True))


def test_values_at_the_ends_are_given_back():
    problem = Heat(n=7, solver=Direct())
    a = problem.sample([0, 1], 0)
    u = problem.solve(a).u[:, 0]
    torch.testing.assert_close(u[:, 0], a[:, 2, 0])
    torch.testing.assert_close(u[:, -1], a[:, 3, 0])
    assert not Darcy(n=7).solve(Darcy(n=7).sample([0], 0)).u[..., [0, -1]].any()
    assert placed(torch.ones(1, 5, 7), problem.grid, 2.0)[0, 0, 0] == 2


def test_constraints_are_the_given_values_of_the_boundary():
    for problem in (Heat(n=9), Darcy(n=9), Darcy(n=8, nodes="cell"), Poisson(n=9, sides="neumann")):
        a = problem.sample([0, 1], 0)
        u = problem.solve(a).u
        torch.testing.assert_close(problem.constrain(a, u, problem.grid), u)
        free = torch.randn_like(u)
        held = problem.constrain(a, free, problem.grid)
        given = unknowns(problem.grid) != problem.grid.shape
        assert torch.equal(held, free) != given
        torch.testing.assert_close(inner(held, problem.grid), inner(free, problem.grid))
        assert problem.constrain(a.float(), free.float(), problem.grid).dtype == torch.float32


def test_inputs_that_never_vary_do_not_order_samples():
    varying, fixed = Heat(n=9), Heat(n=9, left=(-50.0, -50.0), right=(50.0, 50.0))
    for problem in (varying, fixed):
        problem.solver = GCRODR(recycle=True)
        assert sorted(problem.order(range(20), 0)) == list(range(20))


def test_each_channel_has_its_say_in_the_order():
    """Conductivities of about one beside temperatures of about a hundred."""
    wide = Heat(n=9, left=(-1e6, 0.0), right=(0.0, 1e6), solver=GCRODR(recycle=True))
    narrow = Heat(n=9, left=(-1.0, 0.0), right=(0.0, 1.0), solver=GCRODR(recycle=True))
    assert wide.order(range(30), 0) == narrow.order(range(30), 0)
    logs = {c: Darcy(n=9, permeability=LogNormal(of=NeumannMatern(amplitude=3.0), scale=c)) for c in (0.1, 3.0)}
    for problem in logs.values():
        problem.solver = GCRODR(recycle=True)
    assert logs[0.1].order(range(30), 0) == logs[3.0].order(range(30), 0)  # of the logarithms


def test_a_pilot_that_is_not_like_the_rest():
    """Constant coefficients in the first six samples are no fact about the others."""

    class Later(Inputs):
        def __call__(self, space, indices, seed):
            x = space.points()[..., 0]
            return torch.stack([(1 + 0.5 * x if i >= 6 else torch.ones_like(x))[None] for i in indices])

    problem = Darcy(n=9, permeability=Later())
    a = problem.sample(range(8), 0)
    solution = problem.solve(a)
    assert solution.converged.all()
    torch.testing.assert_close(solution.u[7:], problem.solve(a[7:]).u)


def test_a_residual_that_is_not_a_number_is_solved_directly(monkeypatch):
    problem = Darcy(n=9, solver=Multigrid())
    solve = Multigrid.solve_scaled
    lost = torch.full((2,), torch.nan, dtype=torch.float64)
    monkeypatch.setattr(Multigrid, "solve_scaled", lambda *args: solve(*args)._replace(residual=lost))
    assert problem.solve(problem.sample(range(2), 0)).converged.all()


def test_a_source_with_a_mean_between_insulated_sides():
    problem = Poisson(n=9, sides="neumann")
    f = problem.sample([0], 0)
    torch.testing.assert_close(problem.solve(f + 3).u, problem.solve(f).u)
    assert problem.solve(f + 3).converged.all()


def test_odd_calls_of_solve():
    problem = Darcy(n=9)
    a = problem.sample([0], 0)
    assert not problem.solve(a.requires_grad_()).u.requires_grad
    with pytest.raises(InputError, match="no inputs to solve"):
        problem.solve(a[:0])
    for bad in (0.0, -3.0):
        with pytest.raises(InputError, match=r"problem\.frequency="):
            Helmholtz(frequency=bad)


def test_residuals_of_coarsened_solutions_are_warned_of_once(caplog):
    elliptic._warn_of_coarsening.cache_clear()
    problem = Darcy(n=9, resolution=17)
    a = problem.sample([0], 0)
    u, coarse = problem.solve(a).u, problem.stored(a)
    for _ in range(2):
        problem.residual(coarse, u, problem.grid)
    assert [r.getMessage().split(";")[0] for r in caplog.records] == [
        "darcy: the residual on 9 nodes of solutions on 17 does not vanish"
    ]
