"""Poisson's equation by spectral methods: exact solutions, spectral convergence, and its residual."""

import inspect

import pytest
import torch

from pdeops.bases.lifts import Wall, lift
from pdeops.bases.polynomials import DIRICHLET
from pdeops.config import from_config, to_config
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.spectral_poisson import SpectralPoisson

D, N, R, S = [1.0, 0.0], [0.0, 1.0], [1.0, 0.5], [2.0, 3.0]
SIDES = {  # conditions of the first and the last side of x, and of y
    "dirichlet": {"x": [D, D], "y": [D, D]},
    "neumann": {"x": [N, N], "y": [N, N]},
    "robin": {"x": [R, S], "y": [S, R]},
    "mixed": {"x": [D, N], "y": [R, D]},
    "one_axis": {"x": [N, R]},
}
WALLED = {"nodes": "chebyshev", "source": GaussianProcess(width=0.2)}


@pytest.mark.parametrize("length", [1.0, 2.5])
@pytest.mark.parametrize("n", [16, 17])
def test_waves_on_a_torus_are_divided_by_their_symbol(n, length):
    p = SpectralPoisson(n=n, length=length)
    x, y = p.grid.points().unbind(-1)
    k = 2 * torch.pi / length
    u = torch.sin(k * x) * torch.cos(2 * k * y)
    solution = p.solve((5 * k**2 * u + 3)[None, None])  # a mean has no solution and is left out
    torch.testing.assert_close(solution.u[0, 0], u, atol=1e-13, rtol=0)


def test_between_walls_it_converges_faster_than_any_power():
    errors = []
    for n in (12, 16, 24):
        p = SpectralPoisson(n=n, length=2.0, **WALLED)
        x, y = p.grid.points().unbind(-1)
        u = torch.sin(torch.pi * x) * torch.sin(torch.pi * y / 2) * torch.exp(x)
        # -Laplace u, with (sin(pi x) e^x)'' = ((1 - pi^2) sin(pi x) + 2 pi cos(pi x)) e^x
        f = (
            -torch.sin(torch.pi * y / 2)
            * torch.exp(x)
            * ((1 - torch.pi**2) * torch.sin(torch.pi * x) + 2 * torch.pi * torch.cos(torch.pi * x))
            + (torch.pi / 2) ** 2 * u
        )
        solution = p.solve(f[None, None])
        assert solution.converged.all()
        errors.append(float((solution.u[0, 0] - u).abs().max()))
    assert errors[0] > 1e-7
    assert errors[1] < 1e-3 * errors[0]
    assert errors[2] < 1e-11


@pytest.mark.parametrize("options", [{}, WALLED], ids=["torus", "walls"])
def test_the_residual_vanishes_at_solutions_alone(options):
    p = SpectralPoisson(n=24, **options)
    a = p.sample([0, 3], 1)
    u = p.solve(a).u
    scale = float(a.abs().max())
    assert p.residual(a, u, p.grid).abs().max() < 1e-9 * scale
    zero = p.residual(a, torch.zeros_like(u), p.grid)
    torch.testing.assert_close(zero[..., 1:-1, 1:-1], a[..., 1:-1, 1:-1])  # f - A 0
    bad = (u + 0.1).requires_grad_()
    r = p.residual(a, bad, p.grid)
    r.square().sum().backward()
    assert bad.grad.isfinite().all()
    if options:
        torch.testing.assert_close(r[..., 0, :].detach(), torch.full_like(r[..., 0, :], -0.1))


def test_solutions_fulfil_their_conditions():
    torus, walled = SpectralPoisson(n=16), SpectralPoisson(n=16, **WALLED)
    for p in (torus, walled):
        u = p.solve(p.sample([0], 0)).u
        torch.testing.assert_close(p.constrain(u, u, p.grid), u)
        assert not torch.allclose(p.constrain(u, u + 1, p.grid), u + 1)
    assert abs(float(torus.solve(torus.sample([0], 0)).u.mean())) < 1e-15


def test_the_same_sample_on_two_lattices_has_the_same_solution():
    coarse, fine = SpectralPoisson(n=33, **WALLED), SpectralPoisson(n=65, **WALLED)
    u, v = (p.solve(p.sample([2], 0)).u for p in (coarse, fine))
    torch.testing.assert_close(v[..., ::2, ::2], u, atol=1e-6 * float(u.abs().max()), rtol=0)  # corners are singular


def wavy(x, y):
    return torch.exp(0.5 * x) * torch.cos(2 * y + 0.3) + x**2 * y


def posed(sides, n=20, length=1.5):
    """A problem with data on its walls, and a smooth function as its solution: -Laplace and outward slopes by hand.
    g is another function with the same data: it differs by (x (L - x) y (L - y))^2, which has none."""
    p = SpectralPoisson(n=n, length=length, conditions=SIDES[sides], boundary=GaussianProcess(width=0.5), **WALLED)
    x, y = p.grid.points().unbind(-1)
    f = -(0.25 - 4) * torch.exp(0.5 * x) * torch.cos(2 * y + 0.3) - 2 * y
    bump = (x * (length - x) * y * (length - y)) ** 2
    return p, torch.stack([f, wavy(x, y) + 5 * bump])[None], wavy(x, y)[None, None]


def missed(p, u, v):
    """The largest of alpha (u - v) + beta d(u - v)/dn on all sides, by differentiation in Fourier's place: of the
    polynomial through the nodes, slopes by a solve with its Vandermonde matrix."""
    found = []
    for dim, axis in enumerate(p.grid):
        e, s = (u - v)[0, 0].movedim(dim, 0), 2 * axis.points() / axis.length - 1
        powers = torch.special.chebyshev_polynomial_t(s[:, None], torch.arange(axis.n))
        c, k = torch.linalg.solve(powers, e), torch.arange(axis.n, dtype=torch.float64)
        for end, sign in ((0, -1), (-1, 1)):
            slope = sign * (sign ** (k + 1) * k**2 * 2 / axis.length) @ c  # outward: T_k'(+-1) = (+-1)^(k+1) k^2
            alpha, beta = (p.conditions.get(axis.name) or [D, D])[end]
            found.append((alpha * e[end] + beta * slope).abs().max())
    return float(max(found))


@pytest.mark.parametrize("sides", SIDES)
def test_data_on_walls_give_the_solution_they_are_of(sides):
    errors = []
    for n in (8, 12, 20):
        p, a, u = posed(sides, n)
        solution = p.solve(a)
        assert solution.converged.all()
        if sides == "neumann":
            u = u - (u * p.grid.weights()).sum() / p.grid.volume
        errors.append(float((solution.u - u).abs().max()))
        assert missed(p, solution.u, u) < 1e-9
    assert errors[1] < 1e-2 * errors[0]
    assert errors[2] < 1e-11


@pytest.mark.parametrize("sides", SIDES)
def test_constraints_impose_the_data_and_residuals_see_what_is_missed(sides):
    p, a, u = posed(sides)
    x, y = p.grid.points().unbind(-1)
    other = torch.sin(3 * x - y)[None, None]
    imposed = p.constrain(a, other, p.grid)
    assert missed(p, imposed, u) < 1e-9
    torch.testing.assert_close(p.constrain(a, imposed, p.grid), imposed, rtol=0, atol=1e-10)
    r, f = p.residual(a, other, p.grid), a[0, 0]
    off = (r[0, 0] - (f - 10 * torch.sin(3 * x - y)))[1:-1, 1:-1]
    if p.balanced:  # up to the constant that f gets
        off = off - off[0, 0]
    torch.testing.assert_close(off, torch.zeros_like(off), rtol=0, atol=1e-7)
    alpha, beta = p.conditions["x"][0]
    slope = 0.5 * torch.exp(0.5 * x) * torch.cos(2 * y + 0.3) + 2 * x * y - 3 * torch.cos(3 * x - y)
    lacking = alpha * (u[0, 0] - other[0, 0]) - beta * slope
    torch.testing.assert_close(r[0, 0, 0, 1:-1], lacking[0, 1:-1], rtol=0, atol=1e-9)
    bad = (u + other).requires_grad_()
    p.residual(a, bad, p.grid).square().sum().backward()
    assert bad.grad.isfinite().all()
    assert bad.grad.abs().sum() > 0


def test_flux_and_source_are_balanced_by_a_constant():
    p, a, _ = posed("neumann")
    more = a.clone()
    more[:, 0] += 3.0
    torch.testing.assert_close(p.solve(more).u, p.solve(a).u, rtol=0, atol=1e-10)
    u = p.solve(a).u
    assert p.residual(more, u, p.grid).abs().max() < 1e-8
    assert p.residual(a, u + 1, p.grid).abs().max() < 1e-8
    assert abs(float((p.constrain(a, u + 1, p.grid) * p.grid.weights()).sum())) < 1e-12


@pytest.mark.parametrize("sides", SIDES)
def test_samples_hold_the_data_of_walls_alone(sides):
    p, *_ = posed(sides)
    a = p.sample(range(3), 5)
    assert a.shape == (3, 2, 20, 20)
    assert p.in_names == ("source", "boundary")
    assert torch.equal(p.sample([2], 5), a[2:])
    assert not torch.allclose(a[0], a[1])
    whole = p.boundary(p.grid, range(3), 5)
    assert not torch.allclose(a[:, 1:], whole)
    solution = p.solve(a)
    assert solution.converged.all()
    assert missed(p, solution.u, a[:, 1:]) < 1e-8 * float(a.abs().max())
    finer = SpectralPoisson(**{k: getattr(p, k) for k in inspect.signature(SpectralPoisson).parameters} | {"n": 39})
    torch.testing.assert_close(finer.sample(range(3), 5)[..., ::2, ::2], a, rtol=0, atol=1e-7 * float(a.abs().max()))
    again = from_config(to_config(p))
    assert again.grid == p.grid
    assert again.walls == p.walls


def test_ones_own_data_become_a_channel_by_a_lift():
    p, a, u = posed("dirichlet")
    at = {name: tuple(Wall(DIRICHLET, u[0, 0].select(d, end)) for end in (0, -1)) for d, name in enumerate("xy")}
    given = torch.stack([a[0, 0], lift(p.grid, at)])[None]
    torch.testing.assert_close(p.solve(given).u, u, rtol=0, atol=1e-11)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match=r"problem\.conditions\.x=\[\[1, -1\], \[1, 0\]\]: wanted"):
        SpectralPoisson(conditions={"x": [[1, -1], [1, 0]]}, **WALLED)
    with pytest.raises(InputError, match=r"problem\.conditions\.z"):
        SpectralPoisson(conditions={"z": [D, D]}, **WALLED)
    with pytest.raises(InputError, match=r"problem\.conditions\.y"):
        SpectralPoisson(conditions={"y": [D]}, **WALLED)
    with pytest.raises(InputError, match=r"set problem\.nodes=chebyshev"):
        SpectralPoisson(boundary=GaussianProcess())
    with pytest.raises(InputError, match=r"problem\.nodes='cell'; wanted one of"):
        SpectralPoisson(nodes="cell")
    with pytest.raises(InputError, match=r"problem\.n=2"):
        SpectralPoisson(n=2)
    p = SpectralPoisson(n=8)
    with pytest.raises(InputError, match="the residual is formed on"):
        p.residual(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8), Grid.periodic((8, 8), 2.0))


def test_no_source_no_solution():
    for p in (SpectralPoisson(n=16), SpectralPoisson(n=16, **WALLED)):
        solution = p.solve(torch.zeros(1, 1, 16, 16))
        assert not solution.u.any()
        assert solution.converged.all()
