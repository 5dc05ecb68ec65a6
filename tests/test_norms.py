"""Norms against closed forms: exponents, factors, resolution, Parseval."""

from math import inf, pi, sqrt

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import H1, Lp, OnLattice, Sobolev, energy_norm, relative_error


def sine(grid, k):
    return torch.sin(2 * pi / grid[0].length * k * grid.points()[..., 0])


@pytest.mark.parametrize("s", [-1.5, -1, -0.5, 0, 0.5, 1, 2])
@pytest.mark.parametrize("length", [1.0, 2 * pi])
def test_one_wave(s, length):
    """||sin(kappa x)||_{H^s}^2 = V / 2 (alpha + kappa^2)^s."""
    grid = Grid.periodic((32, 31), length)
    kappa = 2 * pi / length * 5
    for alpha in (1.0, 0.1):
        expected = length * sqrt(0.5) * (alpha + kappa**2) ** (s / 2)
        expected = expected if s else length * sqrt(0.5)
        assert float(Sobolev(grid, s, alpha)(sine(grid, 5))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("s", [-1, 0, 1, 2])
def test_growth_exponent(s):
    grid = Grid.periodic((256, 4))
    norm = Sobolev(grid, s)
    growth = torch.log2(norm(sine(grid, 64)) / norm(sine(grid, 32)))
    assert float(growth) == pytest.approx(s, abs=1e-3)


@pytest.mark.parametrize("n", [(16, 16), (15, 16), (16, 15), (9, 11)])
def test_order_zero_is_l2_with_parsevals_weights(n):
    grid = Grid.periodic(n, 3.0)
    u = torch.randn(2, 3, *n, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tiny = Sobolev(grid, 1e-12)(u)  # through the transform
    torch.testing.assert_close(tiny, Lp(grid)(u))
    torch.testing.assert_close(Sobolev(grid, 0)(u), Lp(grid)(u))


@pytest.mark.parametrize("s", [-1, 1])
def test_independent_of_resolution(s):
    values = [float(Sobolev(g, s)(sine(g, 3))) for g in (Grid.periodic((16, 8)), Grid.periodic((41, 30)))]
    assert values[0] == pytest.approx(values[1])


def test_h_minus_1_is_dual_to_h_1():
    """<u, v> <= ||u||_{-1} ||v||_1, with equality for v = (1 - Laplace)^-1 u."""
    grid = Grid.periodic((16, 16))
    u = sine(grid, 2) + torch.cos(2 * pi * 3 * grid.points()[..., 1])
    v = sine(grid, 2) / (1 + (4 * pi) ** 2) + torch.cos(2 * pi * 3 * grid.points()[..., 1]) / (1 + (6 * pi) ** 2)
    inner = float((grid.weights() * u * v).sum())
    assert inner == pytest.approx(float(Sobolev(grid, -1)(u) * Sobolev(grid, 1)(v)))


def test_time_is_integrated_by_quadrature():
    grid = Grid((Axis("time", 65, 2.0, "uniform"), *Grid.periodic((8, 8))))
    t, x, _ = grid.points().unbind(-1)
    u = t * torch.sin(2 * pi * x)
    expected = sqrt(8 / 3 / 2) * (1 + 4 * pi**2) ** -0.5
    assert float(Sobolev(grid, -1)(u)) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("s", [-1, 0, 1])
@pytest.mark.parametrize("nodes", ["uniform", "right", "periodic"])
def test_a_relative_error_does_not_depend_on_the_numbers_of_frames_and_nodes(s, nodes):
    expected = 0.1 * sqrt(0.5 * (1 + 16 * pi**2) ** s / (1 + 0.5 * (1 + 4 * pi**2) ** s))
    for frames, n in ((3, 16), (10, 16), (40, 25)):
        grid = Grid((Axis("time", frames, 2.0, nodes), *Grid.periodic((n, n))))
        phase = 2 * pi * grid.points()[..., 1]
        v, error = 1 + torch.sin(phase), 0.1 * torch.cos(2 * phase)
        assert float(relative_error(v + error, v, Sobolev(grid, s))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("p", "expected"), [(1, 0.5), (2, sqrt(1 / 3)), (4, 0.2**0.25), (inf, 1.0)])
def test_lp_of_a_ramp(p, expected):
    grid = Grid((Axis("x", 2001, nodes="uniform"),))
    assert float(Lp(grid, p)(grid.points()[..., 0])) == pytest.approx(expected, rel=1e-5)


def test_one_value_per_sample_and_channel():
    grid = Grid.periodic((8, 8))
    u = torch.ones(2, 3, 8, 8) * torch.arange(1, 7).view(2, 3, 1, 1)
    for norm in (Lp(grid), Sobolev(grid, 1)):
        torch.testing.assert_close(norm(u), torch.arange(1.0, 7.0).view(2, 3))


def test_mistakes_are_refused():
    grid = Grid.periodic((8, 8))
    with pytest.raises(InputError, match="grid's shape"):
        Sobolev(grid, 1)(torch.zeros(8, 9))
    with pytest.raises(InputError, match="periodic axes"):
        Sobolev(Grid((Axis("x", 8, nodes="cell"),)), -1)
    with pytest.raises(InputError, match="p >= 1"):
        Lp(grid, 0.5)
    with pytest.raises(InputError, match="alpha"):
        Sobolev(grid, 1, alpha=0)


def test_a_norm_forgets_the_precision_of_earlier_fields():
    norm = Lp(Grid.periodic((9, 9)))
    u = torch.randn(9, 9, dtype=torch.float64)
    first = norm(u)
    norm(u.float())
    assert norm(u) == first


@pytest.mark.parametrize("make", [lambda g: Lp(g), lambda g: Lp(g, 3), lambda g: Sobolev(g, -1)])
def test_the_gradient_at_zero_is_zero(make):
    u = torch.zeros(2, 8, 8, requires_grad=True)
    make(Grid.periodic((8, 8)))(u).sum().backward()
    assert torch.equal(u.grad, torch.zeros(2, 8, 8))


def test_integers_are_refused():
    with pytest.raises(InputError, match="floating-point"):
        Lp(Grid.periodic((8, 8)))(torch.ones(8, 8, dtype=torch.int64))


def test_sobolev_on_an_anisotropic_box():
    g = Grid((Axis("x", 12, 3.0), Axis("y", 10, 0.5)))
    for i, L in enumerate((3.0, 0.5)):
        u = torch.sin(2 * pi / L * 2 * g.points()[..., i])
        assert float(Sobolev(g, 1)(u)) == pytest.approx(sqrt(0.75 * (1 + (4 * pi / L) ** 2)))


KINDS = ["uniform", "cell", "left", "right", "chebyshev", "periodic"]


def box(kind, n, m):
    return Grid((Axis("x", n, 1.5, kind, -0.5), Axis("y", m, 2.0, kind, 1.0)))


@pytest.mark.parametrize("kind", KINDS[:-1])
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_h1_of_linear_functions_is_exact(kind, alpha):
    """Slopes are constant, whichever the nodes: what lies beyond the outer ones counts too."""
    grid = box(kind, 5, 8)
    x, y = grid.points().unbind(-1)
    u = torch.stack([3 * x - 2 * y, 0 * x + 1])
    found = H1(grid, alpha)(u)
    l2 = Lp(grid)(u)
    expected = torch.stack([(alpha * l2[0] ** 2 + 13 * grid.volume).sqrt(), l2[1] * alpha**0.5])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_h1_by_differences_converges(kind):
    """u = sin(pi x) cos(pi y / 2) over [-1/2, 3/2] x [1, 3]: 1/2 + 1/2 pi^2 (1 + 1/4) times a half of the volume."""
    order, errors = 2 if kind in ("uniform", "chebyshev", "periodic") else 1, []
    for n in (24, 48):
        grid = Grid((Axis("x", n, 2.0, kind, -0.5), Axis("y", n + 3, 4.0, kind, 1.0)))
        x, y = grid.points().unbind(-1)
        u = torch.sin(pi * x) * torch.cos(pi * y / 2)
        errors.append(abs(float(H1(grid, 2.0)(u)) / sqrt(8 / 4 * (2 + pi**2 * 1.25)) - 1))
    assert errors[1] < 1.3 * errors[0] / 2**order
    assert errors[1] < 0.02


def test_h1_integrates_over_time():
    grid = Grid((Axis("time", 5, 2.0, "uniform"), Axis("x", 9, 1.0, "uniform")))
    t, x = grid.points().unbind(-1)
    u = (1 + t) * x  # its slope along time does not count
    times = float((grid[0].weights() * (1 + grid[0].points()) ** 2).sum())
    assert float(H1(grid)(u)) ** 2 == pytest.approx(float(Lp(grid)(u)) ** 2 + times)


def test_h1_of_complex_and_half_precision_fields():
    grid = box("uniform", 6, 7)
    u = torch.randn(2, 6, 7, dtype=torch.float64)
    both = H1(grid)(torch.complex(u[0], u[1]))
    assert float(both) == pytest.approx(float((H1(grid)(u) ** 2).sum().sqrt()))
    assert H1(grid)(u.bfloat16()).dtype == torch.float32


def test_the_energy_norm_is_the_one_that_the_grid_allows():
    assert isinstance(energy_norm(Grid.periodic((8, 8)), 2.0), Sobolev)
    assert isinstance(energy_norm(box("cell", 8, 8)), H1)
    assert energy_norm(Grid.periodic((8, 8)), 2.0).alpha == energy_norm(box("cell", 8, 8), 2.0).alpha == 2


def test_h1_takes_nodes_enough_and_a_weight():
    with pytest.raises(InputError, match="alpha=0: wanted alpha > 0"):
        H1(box("cell", 4, 4), alpha=0)
    with pytest.raises(InputError, match="axis 'x' has one node"):
        H1(box("cell", 1, 4))
    with pytest.raises(InputError, match="does not end in the grid's shape"):
        H1(box("cell", 4, 4))(torch.zeros(4, 5))


@pytest.mark.parametrize("harmonics", [(3, 19), (19, 20), (25, 4), (21, 40)])
def test_published_weights_are_cut_off_along_each_axis(harmonics):
    """sqrt(1 + k_x^2 + k_y^2) with whole k, none from the twentieth on; as if the square were periodic."""
    n, (k, l) = 85, harmonics
    grid = Grid((Axis("x", n, 1.0, "uniform"), Axis("y", n, 1.0, "uniform")))
    i = torch.arange(n, dtype=torch.float64) / n
    u = torch.sin(2 * pi * k * i)[:, None] * torch.sin(2 * pi * l * i)
    norm = Sobolev(grid, 1, (2 * pi) ** 2, cutoff=20, as_periodic=True)
    kept = [h if h < 20 else 0 for h in harmonics]
    assert float(norm(u)) == pytest.approx(pi * sqrt(1 + kept[0] ** 2 + kept[1] ** 2))
    with pytest.raises(InputError, match="cutoff=0: wanted a harmonic"):
        Sobolev(grid, 1, cutoff=0, as_periodic=True)


def test_a_norm_on_the_fields_own_lattice_is_made_once_for_each():
    grid, made = Grid((Axis("time", 3, 2.0, "uniform"), *Grid.periodic((32, 16)))), []

    def make(g):
        made.append(g)
        return Sobolev(g, 1)

    norm = OnLattice(grid, make)
    assert made == [grid]
    coarse = grid.resized((3, 8, 16))
    for g in (grid, coarse, coarse):
        field = sine(g.space, 2).expand(g.shape)
        assert float(norm(field)) == pytest.approx(float(Sobolev(g, 1)(field)), rel=1e-14)
    assert made == [grid, coarse]
    with pytest.raises(InputError, match="does not end in the grid's shape"):
        norm(torch.zeros(2, 8, 16))
    with pytest.raises(InputError, match="are not"):
        OnLattice(Grid((Axis("x", 8, nodes="cell"),)), lambda g: Sobolev(g, 1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-4, 300.0])
@pytest.mark.parametrize("norm", [Lp, H1, lambda grid: Lp(grid, 3), lambda grid: Sobolev(grid, 1)])
def test_half_precision_neither_overflows_nor_vanishes(norm, size, dtype):
    grid = Grid.periodic((32, 32))
    torch.manual_seed(0)
    v = (size * torch.randn(2, 32, 32)).to(dtype)
    w = (v.float() * (1 + 0.1 * torch.randn(2, 32, 32))).to(dtype)
    exact = relative_error(w.double(), v.double(), norm(grid))
    torch.testing.assert_close(relative_error(w, v, norm(grid)).double(), exact, rtol=0.02, atol=0)
