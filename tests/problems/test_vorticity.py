"""Advection and forcing against forms differentiated by hand, on tori of unequal sides."""

from math import pi

import pytest
import torch

from pdeops.bases.fourier import Fourier
from pdeops.grid import Axis, Grid
from pdeops.problems.vorticity import Diagonal, Kolmogorov, advection


def torus(nx, ny, width, height):
    return Grid((Axis("x", nx, width), Axis("y", ny, height)))


@pytest.mark.parametrize("length", [1.0, 2 * pi])
def test_diagonal_forcing(length):
    basis = Fourier(torus(12, 16, length, length))
    phase = 2 * pi / length * (basis.points()[0] + basis.points()[1])
    torch.testing.assert_close(Diagonal(amplitude=0.3)(basis), 0.3 * 2**0.5 * torch.cos(phase - pi / 4))


@pytest.mark.parametrize(("width", "height"), [(1.0, 1.0), (1.0, 2 * pi)])
def test_kolmogorov_forcing_is_the_curl_of_a_shear(width, height):
    """(d_x f_y - d_y f_x) of f = (A sin(kappa y), 0), kappa = 2 pi 3 / height, by finite differences."""
    basis = Fourier(torus(12, 32, width, height))
    y, h, kappa = basis.points()[1], 1e-5, 6 * pi / height
    expected = -2.0 * (torch.sin(kappa * (y + h)) - torch.sin(kappa * (y - h))) / (2 * h)
    values = Kolmogorov(amplitude=2.0, wavenumber=3)(basis)
    assert values.shape == basis.shape
    torch.testing.assert_close(values, expected.expand(basis.shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("height", [2 * pi, pi])
def test_the_tendency_is_minus_u_grad_w_plus_f(height):
    """Against the advective form, differentiated by hand, for a flow whose advection does not vanish."""
    space = torus(24, 32, 2 * pi, height)
    basis, forcing = Fourier(space), Kolmogorov(amplitude=0.3, wavenumber=2)
    x, y = space.points().unbind(-1)
    # psi = sin x cos 2y + cos 3x, u = psi_y, v = -psi_x, w = -Laplace psi
    w = 5 * torch.sin(x) * torch.cos(2 * y) + 9 * torch.cos(3 * x)
    u, v = -2 * torch.sin(x) * torch.sin(2 * y), -torch.cos(x) * torch.cos(2 * y) + 3 * torch.sin(3 * x)
    w_x, w_y = 5 * torch.cos(x) * torch.cos(2 * y) - 27 * torch.sin(3 * x), -10 * torch.sin(x) * torch.sin(2 * y)
    kappa = 4 * pi / height
    expected = -(u * w_x + v * w_y) - 0.3 * kappa * torch.cos(kappa * y)
    values = basis.to_values(advection(basis, forcing)(basis.to_modes(w[None, None])))
    torch.testing.assert_close(values[0, 0], expected)


def test_the_same_modes_are_free_of_aliasing_on_any_period():
    """-u . grad w in coefficients does not depend on the side: u has its factor, grad its inverse. All modes count."""
    bases = [Fourier(torus(16, 15, length, length)) for length in (1.0, 2 * pi, 30.0)]
    c = bases[0].to_modes(torch.randn(1, 1, 16, 15, dtype=torch.float64))
    first, *others = (advection(basis, None)(c) for basis in bases)
    outer = first.abs() * (bases[0].k[0].abs() > 5 * 2 * pi)  # beyond 2/3 of the highest, where a mask would be
    assert outer.max() > 0.1 * first.abs().max()
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=1e-13 * float(first.abs().max()))


def test_advection_conserves_energy_enstrophy_and_the_mean():
    """<N(w), psi> = <N(w), w> = <N(w), 1> = 0: exactly, because products are free of aliasing."""
    basis = Fourier(torus(24, 18, 1.0, 3.0))
    c = basis.to_modes(torch.randn(1, 1, 24, 18, dtype=torch.float64))
    c[..., 0, 0] = 0
    w, tendency = basis.to_values(c), basis.to_values(advection(basis, None)(c))
    psi = basis.to_values(c / torch.where(basis.k2 > 0, basis.k2, 1.0))
    for test in (w, psi, torch.ones_like(w)):
        assert abs(float((tendency * test).sum())) < 1e-11 * float(tendency.norm() * test.norm())
