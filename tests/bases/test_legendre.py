"""Legendre-Galerkin bases: eigenvalues, orthonormality, products, projections, values on every kind of node."""

from math import pi

import pytest
import torch
from numpy.polynomial.legendre import leggauss

from pdeops.bases.legendre import Legendre
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid


def interval(n, nodes="chebyshev", length=1.0, start=0.0):
    return Grid((Axis("x", n, length, nodes, start),))


def vanishing(x):
    """A polynomial of degree 7 that vanishes at 0 and 1, and minus its second derivative."""
    return x * (1 - x) * (x**5 + 2), -(20 * x**3 * (x - x**2) + 2 * 5 * x**4 * (1 - 2 * x) - 2 * (x**5 + 2))


def test_eigenvalues_and_eigenfunctions_are_those_of_sines():
    basis = Legendre(interval(130, length=2.0, start=-0.5))
    j = torch.arange(1, 65, dtype=torch.float64)
    torch.testing.assert_close(basis.k2[:64], (j * pi / 2) ** 2, rtol=1e-10, atol=0)
    x = basis.grid[0].points()
    sines = torch.sin(torch.outer(j[:40], pi * (x + 0.5) / 2))  # sqrt(2 / length) is 1
    torch.testing.assert_close(basis.to_values(torch.eye(128, dtype=torch.float64)[:40]), sines, rtol=0, atol=1e-10)


def test_eigenfunctions_are_orthonormal():
    """By exact quadrature, and values on nodes give them back."""
    basis = Legendre(interval(42, length=3.0), degree=1)
    one = torch.eye(40, dtype=torch.float64)
    weights = 1.5 * torch.from_numpy(leggauss(basis.shape[0])[1])
    values = basis.to_fine(one)
    torch.testing.assert_close((values * weights) @ values.mT, one, rtol=0, atol=1e-11)
    torch.testing.assert_close(basis.to_modes(values), one, rtol=0, atol=1e-11)
    torch.testing.assert_close(basis.to_modes(basis.to_values(one)), one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("nodes", ["chebyshev", "uniform"])
def test_the_second_derivative_of_a_polynomial(nodes):
    """Its projection, seen by every polynomial of the span."""
    basis = Legendre(interval(40, nodes), degree=2, modes=12)
    u, minus_u_xx = vanishing(basis.grid[0].points())
    c = basis.to_modes(u)
    torch.testing.assert_close(basis.to_values(c), u, rtol=0, atol=1e-11)
    torch.testing.assert_close(basis.k2 * c, basis.to_modes(minus_u_xx), rtol=0, atol=1e-9)
    coarse = interval(7, "cell")
    torch.testing.assert_close(basis.to_values(c, coarse), vanishing(coarse[0].points())[0], rtol=0, atol=1e-11)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_products_are_projected_exactly(degree):
    """Against a basis with far more Gauss-Legendre nodes: one more factor would not be."""
    torch.manual_seed(0)
    basis, generous = (Legendre(interval(9, "uniform"), degree=d, modes=14) for d in (degree, 9))
    c = torch.randn(3, 14, dtype=torch.float64)

    def projected(b, factors):
        return b.to_modes(b.to_fine(c) ** factors)

    torch.testing.assert_close(projected(basis, degree), projected(generous, degree), rtol=0, atol=1e-11)
    assert (projected(basis, degree + 2) - projected(generous, degree + 2)).abs().max() > 1e-6


def test_values_between_uniform_nodes_are_of_eighth_order():
    def error(n):
        basis = Legendre(interval(n, "uniform"), modes=28)
        x = basis.grid[0].points()
        exact = torch.zeros(28, dtype=torch.float64)
        exact[5] = 2**-0.5
        return (basis.to_modes(torch.sin(6 * pi * x)) - exact).abs().max()

    assert torch.log2(error(33) / error(65)) == pytest.approx(8.5, abs=1)


def test_precision_and_leading_axes():
    basis = Legendre(interval(30, "uniform"), dtype=torch.float32)
    u = torch.randn(2, 3, 30)
    assert basis.k2.shape == (15,)
    assert basis.to_modes(u).dtype == torch.float32
    assert basis.to_fine(basis.to_modes(u)).shape == (2, 3, *basis.shape)
    assert basis.shape[0] > 30


def test_what_does_not_fit_is_refused():
    for grid in (Grid.periodic((16,)), interval(7, "uniform"), interval(16, "cell"), interval(9) + (Axis("y", 9),)):
        with pytest.raises(InputError, match="one axis of more than 7 uniform or chebyshev nodes"):
            Legendre(grid)
    with pytest.raises(InputError, match="modes=0; wanted at least 1"):
        Legendre(interval(9), modes=0)
    with pytest.raises(InputError, match="got values on 17 nodes; wanted 9 or 13"):
        Legendre(interval(9)).to_modes(torch.zeros(17))
