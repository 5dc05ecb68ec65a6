"""Trigonometric interpolation, derivatives and products against closed forms."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import Fourier, derivative, half_spectrum_weights, resample, solenoidal
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid


def wave(grid, f):
    return f(*grid.points().unbind(-1))


@pytest.mark.parametrize(
    ("n_in", "n_out"), [((16, 15), (24, 33)), ((24, 33), (16, 15)), ((16, 16), (8, 9)), ((9, 8), (16, 16))]
)
def test_resampling_is_exact_for_what_both_lattices_resolve(n_in, n_out):
    def f(x, y):
        return 1 + torch.sin(2 * pi * 3 * x) * torch.cos(2 * pi * 2 * y) + torch.cos(2 * pi * (x - 3 * y))

    coarse, fine = Grid.periodic(n_in), Grid.periodic(n_out)
    torch.testing.assert_close(resample(wave(coarse, f), n_out), wave(fine, f))


def test_the_nyquist_mode_splits_into_a_cosine():
    n = 8
    x = Axis("x", n).points()
    fine = Axis("x", 20).points()
    torch.testing.assert_close(resample(torch.cos(2 * pi * 4 * x), (20,)), torch.cos(2 * pi * 4 * fine))


def test_coarsening_samples_the_part_the_coarse_lattice_holds():
    x, coarse = Axis("x", 32).points(), Axis("x", 8).points()
    u = torch.cos(2 * pi * 4 * x + 0.3) + torch.sin(2 * pi * 2 * x) + torch.sin(2 * pi * 7 * x)
    expected = torch.cos(2 * pi * 4 * coarse + 0.3) + torch.sin(2 * pi * 2 * coarse)
    torch.testing.assert_close(resample(u, (8,)), expected)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("n", [16, 17])
def test_derivatives(order, n):
    axis = Axis("x", n, length=3.0)
    kappa = 2 * pi / 3 * 5
    x = axis.points()
    expected = kappa**order * torch.sin(kappa * x + order * pi / 2)
    u = torch.sin(kappa * x).unsqueeze(-1).expand(n, 2)
    torch.testing.assert_close(derivative(u, axis, dim=0, order=order)[:, 1], expected)


@pytest.mark.parametrize("n", [(16, 16), (15, 18), (9, 7)])
def test_products_are_exact_projections(n):
    """The product of two fields of the basis, cut back to it, equals the product formed on a lattice that
    holds all of it. On the grid's own lattice it would alias."""
    grid = Grid.periodic(n, length=2.0)
    basis = Fourier(grid)
    generator = torch.Generator().manual_seed(0)
    u, v = (basis.to_values(basis.to_modes(torch.randn(n, generator=generator, dtype=torch.float64))) for _ in range(2))
    huge = tuple(4 * k for k in n)
    exact = resample(u, huge) * resample(v, huge)
    c = torch.fft.rfftn(exact, norm="forward")
    product = basis.to_modes(basis.to_fine(basis.to_modes(u)) * basis.to_fine(basis.to_modes(v)))
    top = [(k - 1) // 2 for k in n]
    assert product.shape == (2 * top[0] + 1, top[1] + 1)
    for kx in range(-top[0], top[0] + 1):
        torch.testing.assert_close(product[kx, : top[1] + 1], c[kx, : top[1] + 1])
    aliased = basis.to_modes(u * v)
    assert (aliased - product).abs().max() > 1e-3


@pytest.mark.parametrize("n", [16, 15])
def test_products_of_three_need_and_get_twice_the_nodes(n):
    basis = Fourier(Grid.periodic((n,)), degree=3)
    u = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    c = basis.to_modes(u)
    exact = torch.fft.rfft(basis.to_values(c, Grid.periodic((8 * n,))) ** 3, norm="forward")[: len(c)]
    torch.testing.assert_close(basis.to_modes(basis.to_fine(c) ** 3), exact)
    quadratic = Fourier(Grid.periodic((n,)))
    assert (quadratic.to_modes(quadratic.to_fine(c) ** 3) - exact).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(9, 12), (32, 33), (5, 64)])
def test_modes_come_from_any_lattice_and_go_to_any(shape):
    """What both hold is kept, the rest is zero."""
    grid, other = Grid.periodic((16, 15)), Grid.periodic(shape)
    basis = Fourier(grid)

    def f(x, y):
        return 1 + torch.sin(2 * pi * (2 * x - 3 * y)) + torch.cos(2 * pi * (x + y))

    torch.testing.assert_close(basis.to_modes(wave(other, f)), basis.to_modes(wave(grid, f)))
    torch.testing.assert_close(basis.to_values(basis.to_modes(wave(grid, f)), other), wave(other, f))
    high = wave(grid, lambda x, y: torch.cos(2 * pi * 7 * x) + torch.cos(2 * pi * 7 * y) + 0 * x)
    smooth = basis.to_values(basis.to_modes(high), Grid.periodic((9, 9)))
    assert smooth.abs().max() < 1e-14  # left out, not aliased


def test_the_basis_drops_exactly_the_nyquist_modes():
    grid = Grid.periodic((8, 8))
    basis = Fourier(grid)
    x = grid.points()[..., 0]
    kept, nyquist = torch.cos(2 * pi * 3 * x), torch.cos(2 * pi * 4 * x)
    torch.testing.assert_close(basis.to_values(basis.to_modes(kept + nyquist)), kept)


def test_wavenumbers_are_physical():
    grid = Grid((Axis("x", 12, 3.0), Axis("y", 10, 2 * pi)))
    basis = Fourier(grid)
    u = wave(grid, lambda x, y: torch.sin(2 * pi / 3 * 2 * x) * torch.cos(3 * y))
    minus_laplacian = basis.to_values(basis.k2 * basis.to_modes(u))
    torch.testing.assert_close(minus_laplacian, ((4 * pi / 3) ** 2 + 9) * u)


@pytest.mark.parametrize("n", [8, 9])
def test_parseval(n):
    u = torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    c = torch.fft.rfft(u, norm="forward")
    assert float((half_spectrum_weights(n) * c.abs() ** 2).sum()) == pytest.approx(float(u.square().mean()))


def test_a_wall_is_refused():
    with pytest.raises(InputError, match="periodic axes"):
        Fourier(Grid((Axis("x", 8, nodes="cell"),)))


def test_second_derivative_keeps_nyquist_and_any_dim():
    x = Axis("x", 8).points()
    u = torch.cos(2 * pi * 4 * x)
    torch.testing.assert_close(derivative(u, Axis("x", 8), 0, 2), -((8 * pi) ** 2) * u)
    v = torch.sin(2 * pi * x).expand(3, 8)
    torch.testing.assert_close(derivative(v, Axis("x", 8), 1), 2 * pi * torch.cos(2 * pi * x).expand(3, 8))


def test_to_values_on_another_lattice():
    g = Grid.periodic((8, 8))

    def f(g):
        return torch.sin(2 * pi * g.points()[..., 0])

    b = Fourier(g)
    torch.testing.assert_close(b.to_values(b.to_modes(f(g)), g.resized((12, 9))), f(g.resized((12, 9))))


def test_helmholtz_projection_splits_a_field():
    """A rotation stays, a gradient goes, in two and three dimensions and on sides of any length."""
    plane = Grid([Axis("x", 17, 2.0), Axis("y", 12, 3.0)])
    x, y = plane.points().unbind(-1)
    psi_x, psi_y = torch.cos(pi * x) * torch.cos(2 * pi / 3 * y), -torch.sin(pi * x) * torch.sin(2 * pi / 3 * y)
    rotation = torch.stack([2 * pi / 3 * psi_y, -pi * psi_x])  # of sin(pi x) cos(2 pi y / 3)
    gradient = torch.stack([pi * psi_x, 2 * pi / 3 * psi_y])
    mean = torch.tensor([1.0, 2.0]).double().view(2, 1, 1)
    torch.testing.assert_close(solenoidal((rotation + gradient + mean)[None], plane)[0], rotation + mean)

    box = Grid.periodic((8, 9, 10))
    u = solenoidal(torch.randn(2, 3, 4, 8, 9, 10, dtype=torch.float64), box)
    slopes = [derivative(u[:, i], axis, i - 3) for i, axis in enumerate(box)]
    assert sum(slopes).norm() < 1e-13 * torch.stack(slopes).norm()
    torch.testing.assert_close(solenoidal(u, box), u)


def test_a_projection_wants_a_component_per_axis():
    with pytest.raises(InputError, match="a vector of 2 components"):
        solenoidal(torch.zeros(1, 3, 8, 8), Grid.periodic((8, 8)))
