"""Fast Poisson solvers: exact on the lattice, of order 2 off it, and preconditioners that do not feel the lattice."""

import math

import pytest
import torch

from pdeops.bases.trigonometric import Trigonometric, spacing
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.solvers.poisson import FastPoisson, ScaledPoisson
from tests.bases.test_trigonometric import CUBES, KINDS, LINES, SQUARES, laplacian

GRIDS = [*LINES[1::4], *SQUARES, *CUBES[::3]]


def null(grid):
    return all(axis.bc != "dirichlet" for axis in grid)


def field(shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("shift", [0.0, 3.0, -37.7, -30.0 + 4.0j])
def test_discrete_solutions_are_exact(grid, shift):
    solver = FastPoisson(grid, shift=shift)
    matrix = torch.from_numpy(laplacian(grid))
    matrix = matrix + shift * torch.eye(len(matrix), dtype=torch.float64)
    for dtype in (torch.float64, torch.complex128):
        u = field((3, *solver.basis.shape), dtype)
        if solver.singular:
            u = u - solver.mean(u).view(-1, *(1,) * grid.ndim)
        both = torch.promote_types(matrix.dtype, dtype)
        solved = solver((u.flatten(1).to(both) @ matrix.mT.to(both)).view_as(u))
        assert solver.singular is (null(grid) and shift == 0)
        torch.testing.assert_close(solved, u.to(solved.dtype), rtol=0, atol=1e-11)


def test_single_precision_stays_single():
    solver = FastPoisson(SQUARES[6], shift=1.0)
    assert solver(field((2, *solver.basis.shape), torch.float32)).dtype == torch.float32
    absorbing = FastPoisson(SQUARES[6], shift=1.0j)
    assert absorbing(field((2, *solver.basis.shape), torch.float32)).dtype == torch.complex64


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", [1, 2])
def test_order_two(kind, d):
    """A solution that is no eigenfunction, on [0, 2]^d: u = prod g(x_i)."""
    waves = {
        "dirichlet": lambda x: torch.sin(math.pi * x / 2) * torch.exp(x * (2 - x)),
        "neumann": lambda x: torch.exp(torch.cos(math.pi * x)),
        "periodic": lambda x: torch.exp(torch.sin(math.pi * x)),
    }
    g = waves[kind[1]]

    def error(n):
        grid = Grid(Axis(name, n, 2.0, kind[0], bc=kind[1]) for name in "xy"[:d])
        solver = FastPoisson(grid, shift=1.5)
        x = solver.basis.points().requires_grad_()
        value = g(x)
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        (curvature,) = torch.autograd.grad(slope.sum(), x)
        u = value.prod(-1)
        f = 1.5 * u - u * (curvature / value).sum(-1)
        return float((solver(f.detach()[None])[0] - u.detach()).abs().max())

    assert math.log2(error(32) / error(63 if kind[0] == "uniform" else 64)) == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize("grid", [grid for grid in GRIDS if null(grid)], ids=str)
def test_means_without_a_solution(grid):
    """They are refused with their value, or removed and reported, in the weights that the operator preserves."""
    solver = FastPoisson(grid)
    f = field((2, *solver.basis.shape))
    f = f - solver.mean(f).view(-1, *(1,) * grid.ndim)
    u = solver(f)
    assert solver.mean(u).abs().max() < 1e-13
    f[1] += 0.25
    with pytest.raises(InputError, match=r"right-hand side 1 has the mean 0\.25; .*least_squares"):
        solver(f)
    v, mean = solver.least_squares(f)
    torch.testing.assert_close(mean, torch.tensor([0.0, 0.25], dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(v, u, rtol=0, atol=1e-12)
    torch.testing.assert_close(solver(f[0]), u[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(solver.least_squares(f[None])[1], mean[None])
    other = FastPoisson(grid, shift=1.0)
    assert not other.singular
    assert torch.equal(other.least_squares(f)[1], torch.zeros(2, dtype=torch.float64))


def test_shifts_on_an_eigenvalue_and_bounded_divisors():
    grid = SQUARES[12]
    basis = Trigonometric(grid)
    resonant = -float(basis.eigenvalues[2, 1])
    with pytest.raises(InputError, match="eigenvalue"):
        FastPoisson(grid, shift=resonant)
    smallest = 10.0
    for shift in (resonant, resonant + 4.0, resonant - 4.0, complex(resonant, 2.0)):
        bounded = FastPoisson(grid, shift=shift, smallest=smallest)
        assert not bounded.singular
        mode = torch.zeros(1, *basis.shape, dtype=torch.float64)
        mode[0, 2, 1] = 1
        c = basis.to_modes(bounded(basis.to_values(mode)))[0, 2, 1]
        d = shift - resonant
        assert complex(c) == pytest.approx(abs(d) / d / smallest if d else 1 / smallest)
        far = torch.zeros(1, *basis.shape, dtype=torch.float64)
        far[0, -1, -1] = 1
        c = basis.to_modes(bounded(basis.to_values(far)))[0, -1, -1]
        assert complex(c) == pytest.approx(complex(1 / (basis.eigenvalues[-1, -1] + shift)))
    with pytest.raises(InputError, match="smallest=-1"):
        FastPoisson(grid, smallest=-1.0)


def divergence(k, u, grid):
    """-div(k grad u) on uniform nodes (Dirichlet, inner unknowns) or cells (Neumann), k at faces by harmonic means."""
    out = torch.zeros_like(u)
    inner = grid[0].bc == "dirichlet"
    full = torch.nn.functional.pad(u, (1, 1) * grid.ndim) if inner else u
    for dim, axis in enumerate(grid, -grid.ndim):
        # across the other axes, prescribed nodes take no part
        lines = (..., *(slice(1, -1) if inner and i != dim else slice(None) for i in range(-grid.ndim, 0)))
        v, conductivity = full[lines], k[lines]
        low, high = conductivity.narrow(dim, 0, axis.n - 1), conductivity.narrow(dim, 1, axis.n - 1)
        flux = 2 * low * high / (low + high) * v.diff(dim=dim) / spacing(axis) ** 2
        if not inner:
            wall = torch.zeros_like(flux.narrow(dim, 0, 1))
            flux = torch.cat([wall, flux, wall], dim)
        out = out - flux.diff(dim=dim)
    return out


def conjugate_gradients(apply, precondition, b, rtol=1e-8):
    """The solutions of a batch, and the number of steps until every true residual is below rtol |b|."""
    dot = lambda x, y: (x * y).flatten(1).sum(1).view(-1, *(1,) * (x.ndim - 1))  # noqa: E731
    x, r = torch.zeros_like(b), b
    p = z = precondition(r)
    rho = dot(r, z)
    for step in range(1, 500):
        q = apply(p)
        alpha = rho / dot(p, q)
        x, r = x + alpha * p, r - alpha * q
        if ((b - apply(x)).flatten(1).norm(dim=1) < rtol * b.flatten(1).norm(dim=1)).all():
            return x, step
        z = precondition(r)
        rho, old = dot(r, z), rho
        p = z + rho / old * p
    return x, step


@pytest.mark.parametrize(
    ("shape", "nodes", "bc", "most"),
    [
        ((65, 65), "uniform", "dirichlet", 20),
        ((129, 129), "uniform", "dirichlet", 20),
        ((129, 65), "uniform", "dirichlet", 20),
        ((64, 64), "cell", "neumann", 22),
        ((24, 24, 24), "uniform", "dirichlet", 15),
    ],
)
def test_log_normal_darcy_in_a_lattice_independent_number_of_steps(shape, nodes, bc, most):
    """exp(g / deviation), g of covariance (-Laplace + 9)^-2 (-5/2 in three dimensions): contrasts up to 120 (1300)."""
    grid = Grid(Axis(name, n, 1.0, nodes, bc=bc) for name, n in zip("xyz", shape, strict=False))
    alpha = 2.0 if len(shape) == 2 else 2.5
    k = LogNormal(of=NeumannMatern(tau=3.0, alpha=alpha), standardise=True)(grid, range(3), 0)[:, 0]
    contrast = k.flatten(1).amax(1) / k.flatten(1).amin(1)
    assert float(contrast.median()) > 30
    poisson = FastPoisson(grid)
    scaled = ScaledPoisson(poisson, k[(..., *poisson.basis.unknowns)])
    b = field((3, *poisson.basis.shape))
    if poisson.singular:
        b = b - poisson.mean(b).view(-1, 1, 1)

    def apply(u):
        return divergence(k, u, grid)

    x, steps = conjugate_gradients(apply, scaled, b)
    assert steps <= most
    _, unscaled = conjugate_gradients(apply, lambda r: poisson.least_squares(r)[0], b)
    assert unscaled > 2 * steps
    residual = (b - apply(x)).flatten(1).norm(dim=1) / b.flatten(1).norm(dim=1)
    assert residual.max() < 1e-8


def test_one_coefficient_for_all_and_constant_coefficients():
    poisson = FastPoisson(SQUARES[7], shift=0.5)
    shape = poisson.basis.shape
    r, k = field((4, *shape)), field(shape, seed=1).exp()
    expected = ScaledPoisson(poisson, k.expand(4, *shape))(r)
    torch.testing.assert_close(ScaledPoisson(poisson, k)(r), expected)
    torch.testing.assert_close(ScaledPoisson(poisson, torch.full(shape, 4.0, dtype=torch.float64))(r), poisson(r) / 4)
    with pytest.raises(InputError, match="positive"):
        ScaledPoisson(poisson, k - 2 * k.max())
    with pytest.raises(InputError, match="coefficients k"):
        ScaledPoisson(poisson, k[1:])
