"""Series of one variable, the same tests for each family: tables, derivatives and integrals, products, spectra."""

from math import pi

import numpy as np
import pytest
import scipy.special
import torch
from numpy.polynomial import chebyshev, legendre
from scipy.integrate import quad

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.polynomials import DIRICHLET, NEUMANN, Condition, LegendreSeries, ShenSeries, gauss
from pdeops.bases.waves import CosineSeries, FourierSeries, SineSeries
from pdeops.errors import InputError
from pdeops.grid import Axis

LENGTH, START = 2.5, -0.7
END = START + LENGTH


def axis(nodes, n=12):
    return Axis("x", n, LENGTH, nodes, START)


ROBIN = Condition(2.0, -0.5), Condition(1.0, 3.0)
FAMILIES = [
    FourierSeries(axis("periodic")),
    FourierSeries(axis("periodic", 11)),
    CosineSeries(axis("cell")),
    CosineSeries(axis("uniform", 9)),
    SineSeries(axis("cell")),
    SineSeries(axis("uniform", 13)),
    ChebyshevSeries(axis("chebyshev")),
    LegendreSeries(axis("chebyshev")),
    ShenSeries(axis("chebyshev")),
    ShenSeries(axis("chebyshev"), None, NEUMANN, NEUMANN),
    ShenSeries(axis("chebyshev"), None, DIRICHLET, NEUMANN),
    ShenSeries(axis("chebyshev"), None, *ROBIN),
]
ids = [f"{type(s).__name__}{i}" for i, s in enumerate(FAMILIES)]
each = pytest.mark.parametrize("series", FAMILIES, ids=ids)
X = torch.tensor([START, -0.31, 0.2, 0.9, 1.55, END], dtype=torch.float64)


def close(found, wanted, atol=1e-11):
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=torch.float64), atol=atol, rtol=1e-11)


def reference(x):
    return 2 * (np.asarray(x) - START) / LENGTH - 1


def closed_form(series, x):
    """(len(x), modes) by formulas of the family."""
    xi, k = reference(x)[:, None], np.arange(series.modes)
    t = pi * (xi + 1) / 2
    match series:
        case FourierSeries():
            frequency = (k + 1) // 2
            return np.where((k % 2 == 0) & (k > 0), np.sin(2 * frequency * t), np.cos(2 * frequency * t))
        case CosineSeries():
            return np.cos(k * t)
        case SineSeries():
            return np.sin((k + 1) * t)
        case ChebyshevSeries():
            return np.cos(k * np.arccos(np.clip(xi, -1, 1)))
        case LegendreSeries():
            return scipy.special.eval_legendre(k, xi)
        case ShenSeries():
            c = series.combination().diagonal(-1).numpy(), series.combination().diagonal(-2).numpy()
            p = [scipy.special.eval_legendre(k + i, xi) for i in range(3)]
            return p[0] + c[0] * p[1] + c[1] * p[2]


@each
def test_values_are_closed_forms(series):
    close(series.values(X), closed_form(series, X))


@each
@pytest.mark.parametrize("order", [-1, 0, 1, 2])
def test_each_order_is_the_slope_of_the_one_before(series, order):
    """int from a to b of phi^(k + 1) is phi^(k)(b) - phi^(k)(a), by Gauss' rule."""
    nodes, weights = gauss(Axis("x", 9, 1.25, "chebyshev", START + 0.4), 40)
    ends = series.values(torch.tensor([START + 0.4, START + 1.65], dtype=torch.float64), order)
    close(weights @ series.values(nodes, order + 1), ends[1] - ends[0], atol=1e-9)
    if order < 0:
        close(series.values(torch.tensor([START]), -1), torch.zeros(1, series.modes), atol=1e-7)


@each
def test_integrals_from_the_start_are_those_by_adaptive_quadrature(series):
    for k in range(0, series.modes, 3):
        wanted = quad(lambda x, k=k: closed_form(series, [x])[0, k], START, 0.9, epsabs=1e-12)[0]
        close(series.values(X[3:4], -1)[0, k], wanted)


@each
def test_analysis_inverts_values_at_the_nodes(series):
    for n in (series.axis.n, series.axis.n + 7):
        nodes = series.axis.resized(n).points()
        close(series.analysis(n) @ series.values(nodes), torch.eye(series.modes), atol=1e-10)


@each
def test_resizing_is_truncation(series):
    """Few modes are the first of many; fewer nodes than modes leave the rest zero."""
    few, n = series.resized(5), series.axis.n
    close(few.values(X), series.values(X)[:, :5])
    if not isinstance(series, ShenSeries):
        close(few.analysis(n), series.analysis(n)[:5])
        assert (series.resized(30).analysis(n)[n:] == 0).all()


@each
def test_gram_is_the_integral_of_products(series):
    x, w = gauss(axis("chebyshev"), 60)
    v = series.values(x)
    close(series.gram(), (v.T * w) @ v)


@each
def test_derivatives_of_closed_families(series):
    """As functions; the highest cosine of an even Fourier series has none of odd order."""
    for order in (1, 2):
        if isinstance(series, ShenSeries) or (order == 1 and isinstance(series, CosineSeries | SineSeries)):
            with pytest.raises(InputError, match="is none"):
                series.diff(order)
            continue
        wanted = series.values(X, order)
        if order == 1 and isinstance(series, FourierSeries) and series.modes % 2 == 0:
            wanted[:, -1] = 0
        close(series.values(X) @ series.diff(order), wanted, atol=1e-8)
        if not isinstance(series, CosineSeries | SineSeries):
            close(series.resized(1).diff(order), [[0.0]])


@each
@pytest.mark.parametrize("degree", [2, 3])
def test_products_are_projected_exactly(series, degree):
    """Their moments are those by far more Gauss nodes."""
    torch.manual_seed(0)
    c = torch.randn(series.modes, degree, dtype=torch.float64)
    fine = series.fine(degree)
    close(fine.values, series.values(fine.points))
    projected = fine.projection @ (fine.values @ c).prod(1)
    x, w = gauss(axis("chebyshev"), 120)
    v = series.values(x)
    close(series.gram() @ projected, v.T @ (w * (v @ c).prod(1)), atol=1e-9)


@each
def test_spectra_solve_the_eigenproblem(series):
    eigenvalues, q = series.eigen()
    close(q.T @ series.gram() @ q, torch.eye(series.modes), atol=1e-10)
    scale = float(eigenvalues[-1])
    close(q.T @ series.stiffness() @ q / scale, eigenvalues.diag() / scale, atol=1e-12)
    assert (eigenvalues.diff() >= -1e-9).all()


@each
def test_stiffness_is_the_energy_of_the_condition(series):
    """int phi_j' phi_k' and, where the slope at an end is in proportion to the value, what flows there."""
    x, w = gauss(axis("chebyshev"), 60)
    v = series.values(x, 1)
    energy = (v.T * w) @ v
    ends = series.values(torch.tensor([START, END], dtype=torch.float64))
    if isinstance(series, ShenSeries):
        for end, sign, (alpha, beta) in ((ends[0], -1, series.first), (ends[1], 1, series.last)):
            if beta:
                energy += sign * alpha / beta * torch.outer(end, end)
    close(series.stiffness(), energy, atol=1e-9)


@pytest.mark.parametrize(
    ("first", "last", "kappa"),
    [(DIRICHLET, DIRICHLET, 1.0), (NEUMANN, NEUMANN, 0.0), (DIRICHLET, NEUMANN, 0.5), (NEUMANN, DIRICHLET, 0.5)],
)
def test_eigenfunctions_of_walls_are_sines_and_cosines(first, last, kappa):
    series = ShenSeries(axis("chebyshev", 66), None, first, last)
    exact = (pi / LENGTH * (torch.arange(30, dtype=torch.float64) + kappa)) ** 2
    eigenvalues, q = series.eigen()
    close(eigenvalues[:30] / 100, exact / 100, atol=1e-9)
    x = torch.linspace(START, END, 50, dtype=torch.float64)
    waves = torch.cos if first == NEUMANN else torch.sin
    scale = torch.where(exact[:20] > 0, 2.0, 1.0).double().sqrt() / LENGTH**0.5
    close((series.values(x) @ q)[:, :20], scale * waves(exact[:20].sqrt() * (x - START)[:, None]), atol=1e-8)


def test_robin_eigenvalues_are_the_roots_of_their_equation():
    """2 u - u' / 2 = 0 and u + 3 u' = 0: tan(k L) = (h + g) k / (k^2 - h g), h = 4, g = 1/3."""
    k = ShenSeries(axis("chebyshev", 50), None, *ROBIN).eigen().eigenvalues[:12].sqrt()
    h, g = 4.0, 1 / 3
    close(torch.sin(k * LENGTH) * (k**2 - h * g), torch.cos(k * LENGTH) * (h + g) * k, atol=1e-9)


def test_natural_eigenfunctions_of_all_polynomials_are_cosines():
    for series in (LegendreSeries(axis("chebyshev", 60)), ChebyshevSeries(axis("chebyshev", 60))):
        eigenvalues, q = series.eigen()
        k = torch.arange(24, dtype=torch.float64)
        close(eigenvalues[:24], (pi / LENGTH * k) ** 2, atol=1e-8)
        wanted = (2 / LENGTH) ** 0.5 * torch.cos(pi / LENGTH * k[1:] * (X - START)[:, None])
        close((series.values(X) @ q)[:, 1:24], wanted, atol=1e-8)


@pytest.mark.parametrize("conditions", [(DIRICHLET, DIRICHLET), (NEUMANN, NEUMANN), (DIRICHLET, NEUMANN), ROBIN])
def test_conditions_hold(conditions):
    series = ShenSeries(axis("chebyshev", 40), None, *conditions)
    ends = torch.tensor([START, END], dtype=torch.float64)
    values, slopes = series.values(ends), series.values(ends, 1)
    for i, (alpha, beta) in enumerate(conditions):
        assert (alpha * values[i] + beta * slopes[i]).abs().max() < 1e-12 * slopes.abs().max().clamp(min=1000)


def test_shens_coefficients():
    """L_k - L_{k+2}, and L_k - k (k + 1) / ((k + 2) (k + 3)) L_{k+2}, as published."""
    k = np.arange(10.0)
    for conditions, b in (((DIRICHLET,) * 2, -1 + 0 * k), ((NEUMANN,) * 2, -k * (k + 1) / ((k + 2) * (k + 3)))):
        table = ShenSeries(axis("chebyshev"), None, *conditions).combination()
        close(table.diagonal(-1), 0 * k)
        close(table.diagonal(-2), b)


def test_a_legendre_gram_is_parsevals_and_a_chebyshev_one_is_not():
    n = 31
    close(LegendreSeries(axis("chebyshev", n)).gram().diagonal(), LENGTH / (2 * np.arange(n) + 1))
    eigenvalues = torch.linalg.eigvalsh(ChebyshevSeries(Axis("x", n, 2.0, "chebyshev")).gram())
    assert float(eigenvalues[0]) == pytest.approx(0.060, abs=1e-3)  # of the unit interval: 0.030 to 1.16
    assert float(eigenvalues[-1]) == pytest.approx(2.32, abs=1e-2)


def test_projections_of_other_polynomials():
    """Onto Shen's span: what is left is orthogonal to it."""
    series = ShenSeries(axis("chebyshev", 14), 7)
    nodes = series.axis.points()
    u = torch.exp(nodes) * (nodes - 0.4)
    x, w = gauss(series.axis, 40)
    through = legendre.legval(reference(x), (LegendreSeries(series.axis).analysis() @ u).numpy())
    left = torch.from_numpy(through) - series.values(x) @ (series.analysis() @ u)
    close(series.values(x).T @ (w * left), torch.zeros(7))


def test_derivative_matrices_are_the_librarys():
    c = np.random.default_rng(0).standard_normal(9)
    for family, der in ((ChebyshevSeries, chebyshev.chebder), (LegendreSeries, legendre.legder)):
        found = (family(axis("chebyshev", 9)).diff(3) @ torch.from_numpy(c)).numpy()
        np.testing.assert_allclose(found[:6], (2 / LENGTH) ** 3 * der(c, 3), rtol=1e-12)
        assert (found[6:] == 0).all()


@each
def test_the_fft_makes_the_same_transforms(series):
    if not hasattr(series, "analyse"):
        return
    for n in (16, 17):
        u = torch.randn(3, n, dtype=torch.float64)
        for modes in (6, series.resized(1).__class__(series.axis.resized(n)).modes):
            s = series.resized(modes)
            c = s.analyse(u)
            close(c, u @ s.analysis(n).T, atol=1e-13)
            close(s.synthesise(c, n), c @ s.values(series.axis.resized(n).points()).T, atol=1e-12)


@pytest.mark.parametrize("family", [ChebyshevSeries, LegendreSeries])
def test_single_precision_takes_48_modes_for_a_second_derivative(family):
    """Of sin(3 x) exp(x), relative in L2 at the nodes, through coefficients."""

    def error(n, dtype):
        series = family(Axis("x", n, 1.0, "chebyshev"))
        x = series.axis.points()
        exact = torch.exp(x) * (6 * torch.cos(3 * x) - 8 * torch.sin(3 * x))
        c = series.analysis().to(dtype) @ (torch.sin(3 * x) * torch.exp(x)).to(dtype)
        found = series.values(x).to(dtype) @ (series.diff(2).to(dtype) @ c)
        return float((found.double() - exact).norm() / exact.norm())

    assert error(31, torch.float32) < 3e-3
    assert error(48, torch.float32) < 1e-2
    assert error(96, torch.float32) > 1e-2
    assert error(96, torch.float64) < 2e-8


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="a Legendre series needs chebyshev nodes; axis 'x' has cell ones"):
        LegendreSeries(axis("cell"))
    with pytest.raises(InputError, match="a cosine series needs cell or uniform nodes; axis 'x' has periodic ones"):
        CosineSeries(axis("periodic"))
    with pytest.raises(InputError, match="modes=0: wanted at least 1"):
        ChebyshevSeries(axis("chebyshev"), 0)
    with pytest.raises(InputError, match="at the first end; wanted alpha beta <= 0"):
        ShenSeries(axis("chebyshev"), 4, Condition(1, 1), DIRICHLET)
    with pytest.raises(InputError, match="at the last end; wanted alpha beta >= 0"):
        ShenSeries(axis("chebyshev"), 4, DIRICHLET, Condition(0, 0))
