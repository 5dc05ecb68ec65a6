"""Tensor products of series: transforms, evaluation, products, integrals and norms against closed forms."""

from math import pi

import pytest
import torch

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.expansions import Expansion
from pdeops.bases.fourier import resample
from pdeops.bases.polynomials import NEUMANN, LegendreSeries, ShenSeries, gauss
from pdeops.bases.waves import CosineSeries, FourierSeries, SineSeries
from pdeops.errors import InputError
from pdeops.grid import Axis

T = Axis("time", 14, 2.0, "chebyshev")
X, Y = Axis("x", 12, 3.0, start=-1.0), Axis("y", 13, 1.5, "chebyshev", 0.5)
CELL, UNIFORM = Axis("x", 11, 2.0, "cell"), Axis("y", 12, 1.0, "uniform", 3.0)
PRODUCTS = [
    Expansion([ChebyshevSeries(T), FourierSeries(X), LegendreSeries(Y)]),
    Expansion([FourierSeries(X), ShenSeries(Y, 8)]),
    Expansion([CosineSeries(CELL), SineSeries(UNIFORM)]),
    Expansion([ShenSeries(Y, None, NEUMANN, NEUMANN)]),
]
each = pytest.mark.parametrize("basis", PRODUCTS, ids=str)


def coefficients(basis, *lead):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*lead, *basis.modes, dtype=torch.float64, generator=generator)


def close(found, wanted, atol=1e-10):
    torch.testing.assert_close(found, wanted, atol=atol, rtol=1e-10)


def inside(basis, n):
    g = torch.Generator().manual_seed(1)
    return [a.start + a.length * torch.rand(n + i, dtype=torch.float64, generator=g) for i, a in enumerate(basis.grid)]


def quadrature(basis, n=60):
    """Places on each axis, and the weights of their tensor product."""
    rules = [gauss(Axis("s", 9, a.length, "chebyshev", a.start), n) for a in basis.grid]
    w = torch.ones((), dtype=torch.float64)
    for _, weights in rules:
        w = w.unsqueeze(-1) * weights
    return [x for x, _ in rules], w


def whole(basis):
    return tuple(range(-len(basis.modes), 0))


@each
def test_values_on_nodes_and_back(basis):
    c = coefficients(basis, 2, 3)
    u = basis.to_values(c)
    assert u.shape == (2, 3, *basis.grid.shape)
    close(u, basis.at(c, *(a.points() for a in basis.grid)))
    close(basis.to_modes(u), c)
    finer = [n + 5 for n in basis.grid.shape]
    close(basis.to_modes(basis.to_values(c, finer)), c)


@each
def test_scattered_places_are_those_of_the_tensor_product(basis):
    c, x = coefficients(basis, 2), inside(basis, 4)
    lattice = torch.stack(torch.meshgrid(*x, indexing="ij"), -1)
    orders = [1, -1, 2][: len(x)]
    for o in (None, orders):
        close(basis.at_points(c, lattice.flatten(0, -2), o), basis.at(c, *x, orders=o).flatten(1))


@pytest.mark.parametrize(("n", "m"), [(12, 8), (8, 12), (7, 10), (12, 7)])
def test_truncated_fourier_series_keep_half_of_each_nyquist_pair(n, m):
    """As `fourier.resample` does: the cosine with its amplitude, without the sine."""
    u = torch.randn(3, n, dtype=torch.float64)
    many, few = (Expansion([FourierSeries(Axis("x", k, 2.0))]) for k in (n, m))
    close(few.to_values(few.resize(many.to_modes(u), many)), resample(u, [m]), atol=1e-13)


def test_scattered_places_come_in_parts(monkeypatch):
    basis, c = PRODUCTS[0], coefficients(PRODUCTS[0], 2)
    x = torch.stack([place[:40] for place in inside(basis, 40)], -1)
    at_once = basis.at_points(c, x)
    monkeypatch.setattr("pdeops.bases.expansions.CHUNK", c.numel())
    close(basis.at_points(c, x), at_once)


def test_derivatives_and_integrals_of_a_known_field():
    basis = Expansion([ChebyshevSeries(T), FourierSeries(X)])
    t, x = T.points()[:, None], X.points()
    c = basis.to_modes(t**3 * torch.sin(2 * pi * (x + 1) / 3) + t)
    close(basis.to_values(basis.derivative(c, 0, 2)), 6 * t * torch.sin(2 * pi * (x + 1) / 3))
    close(basis.to_values(basis.derivative(c, 1)), t**3 * (2 * pi / 3) * torch.cos(2 * pi * (x + 1) / 3))
    close(basis.integral(c), torch.tensor(6.0).double())
    close(basis.at(c, T.points(), X.points(), orders=(-1, 0)), t**4 / 4 * torch.sin(2 * pi * (x + 1) / 3) + t**2 / 2)


@each
def test_integrals(basis):
    c = coefficients(basis, 2)
    x, w = quadrature(basis)
    close(basis.integral(c), (w * basis.at(c, *x)).sum(whole(basis)))


@each
def test_products_are_orthogonal_projections(basis):
    a, b = coefficients(basis, 2), coefficients(basis, 2).flip(0) + 0.1
    x, w = quadrature(basis)
    left = basis.at(a, *x) * basis.at(b, *x) - basis.at(basis.mul(a, b), *x)
    test = basis.at(coefficients(basis, 5), *x)
    moments = (w * left[:, None] * test).sum(whole(basis))
    close(moments, torch.zeros_like(moments), atol=1e-8)


def test_products_with_room_lose_nothing():
    basis = PRODUCTS[0]
    wide = basis.resized([2 * m for m in basis.modes])
    a, b = coefficients(basis), coefficients(basis).flip(0)
    c = wide.mul(wide.resize(a, basis), wide.resize(b, basis))
    x = inside(basis, 5)
    close(wide.at(c, *x), basis.at(a, *x) * basis.at(b, *x), atol=1e-8)
    close(basis.resize(wide.resize(a, basis), wide), a)


@each
def test_norms_are_integrals(basis):
    """L2 exactly, by Parseval; H^1 of fields on which the condition holds, or for which it is the natural one."""
    c = coefficients(basis, 2)
    x, w = quadrature(basis)
    l2 = (w * basis.at(c, *x).square()).sum(whole(basis))
    close(basis.norm2(c), l2)
    energy = 0.3 * l2
    for i in range(len(basis.modes)):
        orders = [int(i == j) for j in range(len(basis.modes))]
        energy = energy + (w * basis.at(c, *x, orders=orders).square()).sum(whole(basis))
    close(basis.norm2(c, 1, 0.3), energy)


@each
@pytest.mark.parametrize("s", [-2, -1.5, -1, 0.5, 2])
def test_an_eigenfunction_has_the_norm_of_its_eigenvalue(basis, s):
    vectors = [one.eigen().vectors[:, 1] for one in basis.series]
    c = vectors[0]
    for v in vectors[1:]:
        c = c.unsqueeze(-1) * v
    close(basis.norm2(c, s, 0.5), (0.5 + basis.eigenvalues[(1,) * len(vectors)]) ** s)


def test_alpha_may_be_zero_where_walls_hold_the_field():
    basis = PRODUCTS[1]
    assert float(basis.norm2(coefficients(basis), -1, 0.0)) > 0
    with pytest.raises(InputError, match=r"alpha=0\.0: wanted alpha > 0, as the least eigenvalue of -Laplace here is"):
        PRODUCTS[0].norm2(coefficients(PRODUCTS[0]), -1, 0.0)


@pytest.mark.parametrize("n", [600, 601])
def test_many_modes_go_by_the_fft(n, monkeypatch):
    series = [
        FourierSeries(Axis("x", n)),
        ChebyshevSeries(Axis("x", n, nodes="chebyshev")),
        SineSeries(Axis("x", n, nodes="uniform")),
        CosineSeries(Axis("x", n, nodes="cell")),
    ]
    for s in series:
        basis = Expansion([s])
        u = torch.randn(2, n, dtype=torch.float64)
        monkeypatch.setattr("pdeops.bases.expansions._table", None)
        fast = basis.to_modes(u), basis.to_values(basis.to_modes(u)), basis.to_values(basis.to_modes(u), [700])
        monkeypatch.undo()
        monkeypatch.setattr("pdeops.bases.expansions.CROSSOVER", 1000)
        tables = basis.to_modes(u), basis.to_values(fast[0]), basis.to_values(fast[0], [700])
        monkeypatch.undo()
        for a, b in zip(fast, tables, strict=True):
            close(a, b)


def test_precision_is_the_fields():
    basis = PRODUCTS[0]
    c = coefficients(basis)
    exact = basis.to_values(c)
    for dtype, rtol in ((torch.float32, 1e-5), (torch.bfloat16, 0.1)):
        u = basis.to_values(c.to(dtype))
        assert u.dtype == dtype
        torch.testing.assert_close(u.double(), exact, rtol=0, atol=rtol * float(exact.abs().max()))


def test_transforms_have_gradients():
    basis = Expansion([ChebyshevSeries(Axis("x", 600, nodes="chebyshev")), FourierSeries(Axis("y", 6))])
    u = torch.randn(1, 600, 6, dtype=torch.float64, requires_grad=True)
    basis.norm2(basis.to_modes(u), -1).sum().backward()
    v = torch.randn_like(u)
    change = (basis.norm2(basis.to_modes(u + 1e-6 * v), -1) - basis.norm2(basis.to_modes(u - 1e-6 * v), -1)) / 2e-6
    assert float((u.grad * v).sum()) == pytest.approx(float(change.detach()), rel=1e-6)


def test_bases_do_not_mix():
    cheb, leg = (Expansion([f(Y), FourierSeries(X)]) for f in (ChebyshevSeries, LegendreSeries))
    message = r"coefficients of LegendreSeries\('y', 13\) x FourierSeries\('x', 12\) for ChebyshevSeries\('y', 13\)"
    with pytest.raises(InputError, match=message):
        cheb.resize(coefficients(leg), leg)
    moved = Expansion([ChebyshevSeries(Axis("y", 13, 1.5, "chebyshev")), FourierSeries(X)])
    with pytest.raises(InputError, match="intervals of all axes must agree"):
        cheb.resize(coefficients(moved), moved)
    cheb.resize(coefficients(cheb), Expansion([ChebyshevSeries(Y.resized(20), 13), FourierSeries(X)]))
    with pytest.raises(InputError, match=r"coefficients \(13, 11\) of .*: wanted \(..., 13, 12\)"):
        cheb.to_values(torch.zeros(13, 11))
