"""H^s between walls: exact duality with energies, exponents, closed forms; and the published sum of coefficients."""

from math import pi, sqrt

import pytest
import torch

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.expansions import Expansion
from pdeops.bases.polynomials import DIRICHLET, NEUMANN, ShenSeries
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import CoefficientSum, Lp, Sobolev, relative_error
from pdeops.problems.spectral_poisson import SpectralPoisson


def box(nodes, bc, n=(21, 18)):
    lengths, starts = (1.5, 1.0), (-0.5, 2.0)
    return Grid(Axis(*axis, nodes, start, bc) for *axis, start in zip("xy", n, lengths, starts, strict=True))


def random_field(grid, condition):
    """A polynomial that satisfies the condition on all walls: its basis, its coefficients and values, and minus its
    Laplacian at the nodes."""
    basis = Expansion([ShenSeries(axis, None, condition, condition) for axis in grid])
    c = torch.randn(3, *basis.modes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    at = [axis.points() for axis in grid]
    laplace = [basis.at(c, *at, orders=[2 * (i == j) for j in range(grid.ndim)]) for i in range(grid.ndim)]
    return basis, c, basis.at(c, *at), -sum(laplace)


def close(found, wanted, rtol=1e-9):
    torch.testing.assert_close(found, wanted, rtol=rtol, atol=0)


@pytest.mark.parametrize("n", [(21, 18), (9, 40)])
def test_weak_norms_of_poissons_residual_are_norms_of_the_error(n):
    """||f + Laplace v||_{H^-1} = ||grad (u - v)||_{L2}, ||f + Laplace v||_{H^-2} = ||u - v||_{L2}, u = v = 0 on
    walls."""
    grid = box("chebyshev", "dirichlet", n)
    basis, c, _, residual = random_field(grid, DIRICHLET)
    mass, stiffness = ([getattr(s, name)() for s in basis.series] for name in ("gram", "stiffness"))
    l2 = torch.einsum("bij,ik,jl,bkl->b", c, mass[0], mass[1], c)
    energy = torch.einsum("bij,ik,jl,bkl->b", c, stiffness[0], mass[1], c)
    energy = energy + torch.einsum("bij,ik,jl,bkl->b", c, mass[0], stiffness[1], c)
    close(Sobolev(grid, -2, 0.0)(residual), l2.sqrt())
    close(Sobolev(grid, -1, 0.0)(residual), energy.sqrt())


@pytest.mark.parametrize("bc", ["neumann", "free"])
def test_weak_norms_of_a_residual_between_insulated_walls(bc):
    """The same for u - Laplace u = f, alpha = 1: ||u||_{H^1}, and ||u||_{L2}."""
    grid = box("chebyshev", bc)
    basis, c, u, minus_laplace = random_field(grid, NEUMANN)
    residual = u + minus_laplace
    close(Sobolev(grid, -2)(residual), basis.norm2(c).sqrt())
    close(Sobolev(grid, -1)(residual), basis.norm2(c, 1).sqrt())
    generous = grid.resized((60, 60))
    at = [axis.points() for axis in generous]
    l2 = Lp(generous)
    energy = l2(basis.at(c, *at)) ** 2
    energy = energy + l2(basis.at(c, *at, orders=(1, 0))) ** 2 + l2(basis.at(c, *at, orders=(0, 1))) ** 2
    close(Sobolev(grid, -1)(residual), energy.sqrt())


@pytest.mark.parametrize("nodes", ["chebyshev", "uniform", "cell"])
@pytest.mark.parametrize("bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize("s", [-2, -1, -0.5, 1, 2])
def test_one_wave(nodes, bc, s):
    """||wave||_{H^s}^2 = volume / 4 (alpha + kappa^2)^s; one mode grows as its frequency to the power s."""
    grid = box(nodes, bc, (70, 72))
    wave = torch.sin if bc == "dirichlet" else torch.cos
    (x, y), norms = grid.points().unbind(-1), {}
    for k in (3, 6, 12, 24):
        u = wave(pi * k * (x + 0.5) / 1.5) * wave(pi * k * (y - 2))
        norms[k] = float(Sobolev(grid, s, 0.3)(u))
        k2 = (pi * k / 1.5) ** 2 + (pi * k) ** 2
        assert norms[k] == pytest.approx(sqrt(1.5 / 4 * (0.3 + k2) ** s), rel=1e-9)
    assert torch.log2(torch.tensor(norms[24] / norms[12])) == pytest.approx(s, abs=2e-3)


@pytest.mark.parametrize("s", [-2, -1, 0, 1, 2])
def test_modes_of_the_span_grow_with_the_exponent(s):
    grid = Grid((Axis("x", 100, 2.0, "chebyshev", bc="dirichlet"),))
    x = grid.points()[..., 0]
    ratio = Sobolev(grid, s)(torch.sin(pi * 20 * x / 2)) / Sobolev(grid, s)(torch.sin(pi * 10 * x / 2))
    assert float(torch.log2(ratio)) == pytest.approx(s, abs=5e-3)


def test_walls_circles_and_time_together():
    """L2(0, T; H^-1) of t sin(kx) sin(ly) cos(mz): each axis counts by its own kind."""
    grid = Grid(
        (
            Axis("time", 9, 2.0, "chebyshev"),
            Axis("x", 14, 2.0),
            Axis("y", 33, 1.0, "chebyshev", bc="dirichlet"),
            Axis("z", 12, 3.0, "cell", bc="neumann"),
        )
    )
    t, x, y, z = grid.points().unbind(-1)
    u = t * torch.sin(2 * pi * x) * torch.sin(3 * pi * y) * torch.cos(pi * z)
    k2 = (2 * pi) ** 2 + (3 * pi) ** 2 + pi**2
    expected = sqrt(8 / 3 * 6 / 8 / (1 + k2))
    assert float(Sobolev(grid, -1)(u)) == pytest.approx(expected, rel=1e-10)
    both = Grid((grid[2], grid[1], Axis("z", 15, 3.0)))
    y, x, z = both.points().unbind(-1)
    u = torch.sin(2 * pi * x) * torch.sin(3 * pi * y) * torch.sin(4 * pi * z / 3)
    expected = sqrt(6 / 8 / ((2 * pi) ** 2 + (3 * pi) ** 2 + (4 * pi / 3) ** 2))
    assert float(Sobolev(both, -1, 0.0)(u)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann"])
def test_any_values_have_the_l2_norm_of_their_projection(bc):
    """Through the transform, s to 0: between insulated walls the projection is all of the polynomial."""
    grid = Grid((Axis("x", 12, 2.0, "chebyshev", bc=bc),))
    u = torch.randn(4, 12, dtype=torch.float64)
    exact = Expansion([ChebyshevSeries(grid[0])])
    whole = exact.norm2(exact.to_modes(u)).sqrt()
    found = Sobolev(grid, 1e-12)(u)
    if bc == "neumann":
        close(found, whole)
    assert (found <= whole * (1 + 1e-9)).all()
    assert (found > 0.3 * whole).all()


def test_single_precision_and_gradients():
    grid = box("chebyshev", "dirichlet")
    _, _, _, residual = random_field(grid, DIRICHLET)
    norm = Sobolev(grid, -1, 0.0)
    torch.testing.assert_close(norm(residual.float()).double(), norm(residual), rtol=1e-5, atol=0)
    zero = torch.zeros(2, *grid.shape, requires_grad=True)
    norm(zero).sum().backward()
    assert torch.equal(zero.grad, torch.zeros_like(zero))


def test_collocations_residual_without_its_walls_is_nearly_the_error():
    """`SpectralPoisson.residual` has -u in the place of f + Laplace u on the walls; the boundary weighs little in
    H^-2."""
    problem = SpectralPoisson(n=25, nodes="chebyshev")
    basis = Expansion([ShenSeries(axis, 8) for axis in problem.grid])
    c = torch.randn(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u, at = basis.to_values(c), [axis.points() for axis in problem.grid]
    f = -basis.at(c, *at, orders=(2, 0)) - basis.at(c, *at, orders=(0, 2))
    v = 0.9 * u
    found = Sobolev(problem.grid, -2, 0.0)(problem.residual(f, v, problem.grid))
    torch.testing.assert_close(found, 0.1 * basis.norm2(c).sqrt(), rtol=1e-3, atol=0)


def test_what_has_no_spectrum_is_refused():
    for nodes in ("cell", "uniform", "left", "right"):
        with pytest.raises(InputError, match="needs periodic axes in space, chebyshev nodes, or"):
            Sobolev(Grid((Axis("x", 8, nodes=nodes),)), -1)
    with pytest.raises(InputError, match=r"alpha=0\.0: wanted alpha > 0, as the least eigenvalue of -Laplace here is"):
        Sobolev(box("chebyshev", "neumann"), -1, 0.0)
    with pytest.raises(InputError, match="cutoff=4 is for periodic axes"):
        Sobolev(box("cell", "neumann"), -1, cutoff=4)


def test_the_published_sum_of_coefficients():
    """3 T_2 + T_0 and cos, sin: squares add up; on a circle it is sqrt(2) times L2, but for the mean."""
    grid = Grid((Axis("time", 9, 2.0, "chebyshev"), Axis("x", 8, 3.0)))
    t, x = grid.points().unbind(-1)
    xi = t - 1
    u = (3 * (2 * xi**2 - 1) + 1) * (0.5 * torch.cos(2 * pi * x / 3) - 2 * torch.sin(4 * pi * x / 3))
    assert float(CoefficientSum(grid)(u)) == pytest.approx(sqrt((9 + 1) * (0.25 + 4)))
    circle = Grid.periodic((16,), 3.0)
    v = torch.sin(2 * pi * 3 * circle.points()[..., 0] / 3)
    assert float(CoefficientSum(circle)(v)) == pytest.approx(float(sqrt(2 / 3) * Lp(circle)(v)))
    assert float(relative_error(0.5 * v, v, CoefficientSum(circle))) == pytest.approx(0.5)
    with pytest.raises(InputError, match="needs chebyshev nodes"):
        CoefficientSum(box("cell", "neumann"))
