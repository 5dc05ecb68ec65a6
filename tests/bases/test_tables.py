"""The tables of each basis: exact on its own functions, orthogonal, and equal to the library's transforms."""

from math import pi

import numpy as np
import pytest
import scipy.fft
import torch

from pdeops.bases.polynomials import DIRICHLET, NEUMANN, Condition
from pdeops.bases.tables import Eigen, Fourier, Legendre, Trigonometric, analysis, bases, synthesis
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

DOUBLE = (torch.float64, torch.device("cpu"))
KINDS = [Trigonometric(sine, ends) for sine in (False, True) for ends in (False, True)]


@pytest.mark.parametrize("n", [8, 11])
@pytest.mark.parametrize(
    "basis",
    [*KINDS, Legendre(), Eigen(6, (DIRICHLET, DIRICHLET)), Eigen(8, None), Eigen(6, (NEUMANN, Condition(2.0, 0.3)))],
)
def test_synthesis_inverts_analysis_on_all_that_is_resolved(basis, n):
    k = basis.resolved(n)
    product = analysis((basis, "real"), (n, k), *DOUBLE) @ synthesis((basis, "real"), (n, k, n, k), *DOUBLE)
    torch.testing.assert_close(product, torch.eye(k, dtype=torch.float64), atol=1e-13, rtol=0)


@pytest.mark.parametrize("n", [8, 11])
def test_cosines_and_sines_are_the_librarys(n):
    u = torch.randn(n, dtype=torch.float64)
    for basis, transform in (
        (Trigonometric(sine=False, ends=False), lambda v: scipy.fft.dct(v, 2) / n),
        (Trigonometric(sine=False, ends=True), lambda v: scipy.fft.dct(v, 1) / (n - 1)),
        (Trigonometric(sine=True, ends=False), lambda v: scipy.fft.dst(v, 2) / n),
    ):
        c = (analysis((basis, "real"), (n, n), *DOUBLE) @ u).numpy()
        wanted = transform(u.numpy())
        once = [0] if not basis.sine else []
        once += [n - 1] if basis.ends or basis.sine else []
        wanted[once] /= 2  # these functions have norm 1, not 1/2
        np.testing.assert_allclose(c, wanted, atol=1e-13)


@pytest.mark.parametrize(
    ("name", "nodes", "function"),
    [
        ("cosine", "cell", lambda x: torch.cos(3 * pi * (x - 1) / 2.5)),
        ("cosine", "uniform", lambda x: torch.cos(3 * pi * (x - 1) / 2.5)),
        ("sine", "cell", lambda x: torch.sin(4 * pi * (x - 1) / 2.5)),
        ("sine", "uniform", lambda x: torch.sin(4 * pi * (x - 1) / 2.5)),
        ("legendre", "chebyshev", lambda x: torch.special.legendre_polynomial_p(2 * (x - 1) / 2.5 - 1, 3)),
        ("chebyshev", "chebyshev", lambda x: -torch.special.chebyshev_polynomial_t(2 * (x - 1) / 2.5 - 1, 3)),
    ],
)
def test_functions_of_the_basis_are_one_coefficient_and_evaluated_anywhere(name, nodes, function):
    axis = Axis("x", 9, 2.5, nodes, start=1.0)
    (basis,) = bases(Grid((axis,)), [name])
    c = analysis((basis, "real"), (9, 6), *DOUBLE) @ function(axis.points())
    torch.testing.assert_close(c, torch.eye(6, dtype=torch.float64)[3], atol=1e-13, rtol=0)
    other = synthesis((basis, "real"), (14, 6, 9, 6), *DOUBLE) @ c
    torch.testing.assert_close(other, function(axis.resized(14).points()), atol=1e-13, rtol=0)


@pytest.mark.parametrize("nodes", ["periodic", "left", "cell", "right"])
def test_fourier_series_are_evaluated_where_the_other_nodes_are(nodes):
    axis = Axis("x", 9, 2.0, nodes)
    (basis,) = bases(Grid((axis,)), ["fourier"])
    function = lambda x: 0.3 + torch.cos(2 * pi * 3 * x / 2) - 2 * torch.sin(2 * pi * x / 2)  # noqa: E731
    c = analysis((basis, "half"), (9, 4), *DOUBLE) @ function(axis.points())
    values = synthesis((basis, "half"), (20, 4, 9, 4), *DOUBLE) @ c
    torch.testing.assert_close(values, function(axis.resized(20).points()), atol=1e-13, rtol=0)


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "free"])
@pytest.mark.parametrize("n", [26, 40, 64])
def test_eigenfunctions_are_waves_on_any_number_of_nodes(bc, n):
    """Those of the axis the basis was made for, of amplitude sqrt(2)."""
    axis = Axis("x", 40, 2.5, "chebyshev", 1.0, bc)
    (basis,) = bases(Grid((axis,)), ["eigen"])
    x, k = axis.resized(n).points(), torch.arange(8, dtype=torch.float64)
    assert basis.resolved(20) == (18 if bc == "dirichlet" else 20)
    phase = pi * (x[:, None] - 1) / 2.5
    waves = torch.sin((k + 1) * phase) if bc == "dirichlet" else torch.cos(k * phase)
    waves = torch.where((k > 0) | (bc == "dirichlet"), 2.0, 1.0).double().sqrt() * waves
    torch.testing.assert_close(synthesis((basis, "real"), (n, 8, 40, 12), *DOUBLE), waves, atol=1e-8, rtol=0)
    table = analysis((basis, "real"), (n, 8), *DOUBLE)
    torch.testing.assert_close(table @ waves, torch.eye(8, dtype=torch.float64), atol=1e-8, rtol=0)


@pytest.mark.parametrize("n", [9, 14, 30])
def test_eigenfunctions_complete_the_polynomials_of_their_walls(n):
    """All of x (1 - x) (x^5 + 2) comes back, and -d^2/dx^2 is the product with the eigenvalues, projected."""
    (basis,) = bases(Grid((Axis("x", 9, nodes="chebyshev", bc="dirichlet"),)), ["eigen"])
    x = Axis("x", n, nodes="chebyshev").points()
    u, minus_u_xx = x * (1 - x) * (x**5 + 2), 4 + 42 * x**5 - 30 * x**4
    there, back = analysis((basis, "real"), (n, 7), *DOUBLE), synthesis((basis, "real"), (n, 7, n, 7), *DOUBLE)
    torch.testing.assert_close(back @ there @ u, u, atol=1e-12, rtol=0)
    eigenvalues = basis._series(n).eigen().eigenvalues
    torch.testing.assert_close(there @ minus_u_xx, eigenvalues * (there @ u), atol=1e-10, rtol=1e-10)


def test_pairs_are_complex_products():
    basis, n, k = Fourier(half=False), 10, 5
    u = torch.randn(n, dtype=torch.complex128)
    c = torch.view_as_complex(
        (analysis((basis, "pair"), (n, k), *DOUBLE) @ torch.view_as_real(u).flatten()).view(2, k).T.contiguous()
    )
    wanted = torch.fft.fftshift(torch.fft.fft(u, norm="forward"))[n // 2 - 2 : n // 2 + 3]
    torch.testing.assert_close(c, wanted, atol=1e-13, rtol=0)
    v = (synthesis((basis, "pair"), (n, k, n, k), *DOUBLE) @ torch.view_as_real(c).T.flatten()).view(n, 2)
    f = torch.arange(-2, 3).double()
    exact = torch.exp(2j * pi * torch.outer(torch.arange(n).double(), f) / n) @ c
    torch.testing.assert_close(torch.view_as_complex(v), exact, atol=1e-13, rtol=0)


def test_real_bases_take_both_parts_of_a_pair_alike():
    basis, n, k = Trigonometric(sine=False, ends=True), 7, 4
    u = torch.randn(n, 2, dtype=torch.float64)
    c = (analysis((basis, "pair"), (n, k), *DOUBLE) @ u.flatten()).view(2, k)
    torch.testing.assert_close(c, (analysis((basis, "real"), (n, k), *DOUBLE) @ u).T)
    v = (synthesis((basis, "pair"), (n, k, n, k), *DOUBLE) @ c.flatten()).view(n, 2)
    torch.testing.assert_close(v, synthesis((basis, "real"), (n, k, n, k), *DOUBLE) @ c.T)


def test_single_precision_tables_are_rounded_once():
    """Angles of large products are reduced as integers first."""
    basis = Fourier(half=True)
    table = analysis((basis, "half"), (8192, 600), torch.float32, torch.device("cpu"))
    f, j = 599, 8191
    assert float(table[f, j]) == np.float32(np.cos(2 * np.pi * ((f * j) % 8192) / 8192) / 8192)


def test_the_last_fourier_axis_is_the_half_one():
    grid = Grid((Axis("x", 8), Axis("y", 8, nodes="cell"), Axis("z", 8)))
    x, y, z = bases(grid, ["fourier", "cosine", "fourier"])
    assert (x, z) == (Fourier(half=False), Fourier(half=True))
    assert y == Trigonometric(sine=False, ends=False)


@pytest.mark.parametrize(
    ("name", "nodes", "message"),
    [
        ("cosine", "periodic", "cell or uniform nodes; axis 'x' has periodic"),
        ("sine", "chebyshev", "cell or uniform nodes; axis 'x' has chebyshev"),
        ("chebyshev", "uniform", "chebyshev nodes; axis 'x' has uniform"),
        ("legendre", "cell", "chebyshev nodes; axis 'x' has cell"),
        ("eigen", "uniform", "chebyshev nodes; axis 'x' has uniform"),
        ("wavelet", "cell", "wanted one of"),
    ],
)
def test_what_does_not_fit_is_refused(name, nodes, message):
    with pytest.raises(InputError, match=message):
        bases(Grid((Axis("x", 8, nodes=nodes),)), [name])


def test_eigenfunctions_of_other_conditions():
    """On a length of 3: quarter-waves where a value and a slope vanish; cos(k x), k tan(3 k) = c, where a slope and
    u' + c u do."""
    grid = Grid((Axis("x", 24, 3.0, "chebyshev", start=-1.0),))
    x = grid[0].points() + 1
    k = (torch.arange(6, dtype=torch.float64) + 0.5) * pi / 3

    def first(ends):
        (basis,) = bases(grid, ["eigen"], {"x": ends})
        return synthesis((basis, "real"), (24, 6, 24, 6), *DOUBLE)

    torch.testing.assert_close(first((DIRICHLET, NEUMANN)), 2**0.5 * torch.sin(x[:, None] * k), rtol=0, atol=1e-7)
    c, root = 0.7, torch.linspace(0, 5, 6, dtype=torch.float64) * pi / 3 + 0.2
    for _ in range(50):  # the fixed point 3 k = m pi + atan(c / k)
        root = (torch.arange(6, dtype=torch.float64) * pi + torch.atan(c / root)) / 3
    waves = torch.cos(x[:, None] * root)
    found = first((NEUMANN, Condition(c, 1.0)))
    torch.testing.assert_close(found / found[0], waves, rtol=0, atol=1e-7)
