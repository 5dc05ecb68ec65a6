"""Sine, cosine and Hartley transforms: orthonormal, and the eigenvectors of second differences."""

import functools
from itertools import product

import numpy as np
import pytest
import torch
from scipy.linalg import circulant

from pdeops.bases.trigonometric import Trigonometric, cosine_values, spacing
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

KINDS = [("periodic", "periodic"), *product(("uniform", "cell"), ("dirichlet", "neumann"))]


def axis(kind, n, length=1.0, name="x", start=0.0):
    return Axis(name, n, length, kind[0], start, kind[1])


def second_difference(a):
    """-d^2/dx^2 of the unknowns of an axis, with ghosts: (n, n)."""
    h = spacing(a)
    if a.periodic:
        row = np.zeros(a.n)
        for shift, weight in ((0, 2), (1, -1), (-1, -1)):
            row[shift % a.n] += weight
        return circulant(row) / h**2
    n = a.n - 2 if (a.nodes, a.bc) == ("uniform", "dirichlet") else a.n
    matrix = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    match a.nodes, a.bc:
        case "cell", "dirichlet":  # the ghost is -u_0
            matrix[0, 0] += 1
            matrix[-1, -1] += 1
        case "cell", "neumann":  # u_0
            matrix[0, 0] -= 1
            matrix[-1, -1] -= 1
        case "uniform", "neumann":  # u_1
            matrix[0, 1] -= 1
            matrix[-1, -2] -= 1
    return matrix / h**2


def laplacian(grid):
    """-Laplace_h as a dense matrix on flattened unknowns."""
    parts = [second_difference(a) for a in grid]
    return sum(
        functools.reduce(np.kron, [part if i == j else np.eye(len(other)) for j, other in enumerate(parts)])
        for i, part in enumerate(parts)
    )


LINES = [Grid((axis(kind, n, 1.7),)) for kind in KINDS for n in (3, 4, 8, 9)]
SQUARES = [Grid((axis(a, 6, 2.0), axis(b, 5, 0.7, "y"))) for a, b in product(KINDS, KINDS)]
CUBES = [Grid((axis(a, 4, 2.0), axis(b, 5, 0.7, "y"), axis(b, 3, 1.0, "z"))) for a, b in product(KINDS, KINDS[::2])]
GRIDS = LINES + SQUARES + CUBES


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_second_differences_are_diagonal(grid):
    basis = Trigonometric(grid)
    matrix = torch.from_numpy(laplacian(grid))
    u = torch.randn(3, *basis.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    applied = (u.flatten(1) @ matrix.mT).view_as(u)
    scale = float(basis.eigenvalues.max())
    torch.testing.assert_close(
        basis.to_modes(applied) / scale, basis.eigenvalues / scale * basis.to_modes(u), rtol=0, atol=1e-13
    )


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_transforms_are_orthonormal_in_the_weights(grid):
    """to_values inverts to_modes and is its adjoint; without weights, its transpose."""
    basis = Trigonometric(grid)
    n = basis.eigenvalues.numel()
    identity = torch.eye(n, dtype=torch.float64).view(n, *basis.shape)
    to_modes, to_values = basis.to_modes(identity).view(n, n).mT, basis.to_values(identity).view(n, n).mT
    torch.testing.assert_close(to_modes @ to_values, torch.eye(n, dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(to_modes, to_values.mT * basis.weights.flatten(), rtol=0, atol=1e-13)
    halved = any((a.nodes, a.bc) == ("uniform", "neumann") for a in grid)
    assert bool((basis.weights == 1).all()) is not halved


@pytest.mark.parametrize("grid", [*LINES, *SQUARES[::4], *CUBES[::4]], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
def test_matrices_transform_as_the_fast_ones_do(grid, dtype):
    fast, dense = Trigonometric(grid), Trigonometric(grid, dense=True)
    u = torch.randn(2, 3, *fast.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    atol = 1e-13 if dtype in (torch.float64, torch.complex128) else 1e-5
    for name in ("to_modes", "to_values"):
        a, b = getattr(fast, name)(u), getattr(dense, name)(u)
        assert a.dtype == b.dtype == dtype
        torch.testing.assert_close(a, b, rtol=0, atol=atol)
        if dtype.is_complex:
            torch.testing.assert_close(a.imag, getattr(fast, name)(u.imag), rtol=0, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_exact_eigenvalues_are_the_limit(kind):
    """4/h^2 sin^2(kappa h / 2) -> kappa^2 at order 2, each mode of the lowest seven with its own; all others within
    the factor pi^2 / 4 of the shortest wave."""
    error = []
    for n in (64, 127):
        basis = Trigonometric(Grid((axis(kind, n, 3.0),)))
        ratio = (basis.k2 / basis.eigenvalues)[1:]
        assert ratio.min() > 1
        assert ratio.max() < np.pi**2 / 4 + 1e-12
        error.append((ratio - 1)[:6].max())
    assert float(error[0]) < 0.03
    assert float(error[0] / error[1]) == pytest.approx((127 / 64) ** 2, rel=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_low_modes_are_samples_of_the_exact_eigenfunctions(kind):
    """-u'' = k2 u for the function that a mode samples: by its values at the unknowns' coordinates."""
    basis = Trigonometric(Grid((axis(kind, 9, 2.0, start=1.0),)))
    x = basis.points()[:, 0] - 1.0
    for k in (1, 2):
        mode = basis.to_values(torch.eye(len(x), dtype=torch.float64)[k])
        kappa = basis.k2[k].sqrt()
        waves = torch.stack([torch.cos(kappa * x), torch.sin(kappa * x)], dim=1)
        fit = torch.linalg.lstsq(waves, mode[:, None]).solution
        torch.testing.assert_close(waves @ fit, mode[:, None], rtol=0, atol=1e-12)
        if kind[1] != "periodic":
            assert abs(float(fit[0 if kind[1] == "dirichlet" else 1])) < 1e-12


def test_embedding_the_unknowns():
    grid = Grid((axis(KINDS[1], 6), axis(KINDS[4], 4, name="y")))
    basis = Trigonometric(grid)
    assert basis.shape == (4, 4)
    torch.testing.assert_close(basis.points(), grid.points()[1:-1])
    u = torch.rand(3, 4, 4)
    full = basis.embed(u)
    assert full.shape == (3, 6, 4)
    assert torch.equal(full[:, 1:-1], u)
    assert not full[:, [0, -1]].any()


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("nodes", ["cell", "uniform"])
def test_cosine_series(d, nodes):
    grid = Grid(Axis(name, n, 1.5, nodes, 0.5) for name, n in zip("xyz"[:d], (5, 4, 6), strict=False))
    c = np.random.default_rng(0).standard_normal(grid.shape)
    expected = np.zeros(grid.shape)
    points = (grid.points().numpy() - 0.5) / 1.5
    for k in np.ndindex(*grid.shape):
        expected += c[k] * np.cos(np.pi * np.array(k) * points).prod(-1)
    np.testing.assert_allclose(cosine_values(c, grid), expected, atol=1e-13)


def test_what_is_refused():
    with pytest.raises(InputError, match="bc='free'"):
        Trigonometric(Grid((Axis("x", 8, 1.0, "cell"),)))
    with pytest.raises(InputError, match="chebyshev"):
        Trigonometric(Grid((Axis("x", 8, 1.0, "chebyshev", bc="dirichlet"),)))
    with pytest.raises(InputError, match="no unknowns"):
        Trigonometric(Grid((axis(KINDS[1], 2),)))
    basis = Trigonometric(Grid((axis(KINDS[1], 8),)))
    with pytest.raises(InputError, match="unknowns"):
        basis.to_modes(torch.rand(2, 8))
    with pytest.raises(InputError, match="int64"):
        basis.to_modes(torch.ones(2, 6, dtype=torch.int64))
    with pytest.raises(InputError, match="cell and uniform"):
        cosine_values(np.ones(4), Grid.periodic((4,)))
