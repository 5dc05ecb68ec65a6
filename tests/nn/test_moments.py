"""Local moments: partitions of unity, polynomials, integrals and their orders, walls and wraps, scattered samples."""

from math import pi

import pytest
import torch
from scipy.integrate import quad

from pdeops.grid import Axis, Grid
from pdeops.nn.moments import Windows, windows

BOTH = pytest.mark.parametrize("periodic", [False, True])


@BOTH
@pytest.mark.parametrize("patches", [2, 3, 8])
def test_windows_sum_to_one_and_each_has_its_share(patches, periodic):
    x = (torch.arange(2400, dtype=torch.float64) + 0.5) / 2400
    chi, _ = windows(x, patches, 2, periodic)
    torch.testing.assert_close(chi.sum(-1), torch.ones_like(x), rtol=0, atol=1e-14)
    torch.testing.assert_close(chi.mean(0), torch.full((patches,), 1 / patches, dtype=torch.float64), rtol=0, atol=1e-6)
    assert (chi >= 0).all()


def test_a_window_is_one_at_its_centre_and_up_to_a_wall_and_zero_at_the_next_centre():
    x = torch.tensor([0.0, 0.125, 0.25, 0.375, 0.625, 1.0], dtype=torch.float64)
    walls, torus = (windows(x, 4, 1, periodic)[0] for periodic in (False, True))
    expected = [[1, 0, 0, 0], [1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    torch.testing.assert_close(walls, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-14)
    ends = torch.tensor([0.5, 0, 0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(torus[[0, -1]], ends.expand(2, 4), rtol=0, atol=1e-14)
    torch.testing.assert_close(torus[1:-1], walls[1:-1], rtol=0, atol=1e-14)


def test_waves_are_orthonormal_legendre_polynomials():
    """On |xi| < 1, chi apart."""
    axis = Axis("x", 10000, length=2 / 3, nodes="cell", start=1 / 6)  # the middle one of three windows
    chi, waves = windows(axis.points(), 3, 5, False)
    polynomials = waves[:, 1] / chi[:, 1:2]
    gram = (polynomials.unsqueeze(-1) * polynomials.unsqueeze(-2)).mean(0)
    torch.testing.assert_close(gram, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-6)


def z_of(polynomial, w):
    """A polynomial's coefficients in each window."""
    p, m = w.patches[0], w.moments
    nodes = torch.linspace(-1, 1, m, dtype=torch.float64)
    z = torch.zeros(p, m, dtype=torch.float64)
    for i in range(p):
        legendre = torch.stack(
            [torch.special.legendre_polynomial_p(nodes, k) * (2 * k + 1) ** 0.5 for k in range(m)], -1
        )
        z[i] = torch.linalg.solve(legendre, polynomial((nodes + i + 0.5) / p))
    return z


@pytest.mark.parametrize("nodes", ["cell", "uniform", "chebyshev"])
def test_synthesis_has_every_polynomial_of_lower_degree(nodes):
    w, axis = Windows((5,), (False,), 4), Axis("x", 23, length=2.0, nodes=nodes, start=-1.0)

    def cubic(x):
        return 1 - 2 * x + 3 * x**2 - 4 * x**3

    z = z_of(cubic, w)
    x = (axis.points() + 1) / 2
    torch.testing.assert_close(w.synthesise(z.view(1, 5, 4), Grid([axis]))[0, :, 0], cubic(x))
    torch.testing.assert_close(w.synthesise_at(z.view(1, 5, 4), x.view(1, -1, 1))[0, :, 0], cubic(x))


@BOTH
def test_analysis_is_a_mean_under_the_window(periodic):
    p, m = 4, 3
    w = Windows((p,), (periodic,), m)

    def v(x):
        return torch.sin(2 * pi * x + 0.3).exp()

    axis = Axis("x", 4000, length=3.0) if periodic else Axis("x", 4000, length=3.0, nodes="cell")
    x = (axis.points() - axis.start) / axis.length
    z = w.analyse(v(x).view(1, -1, 1), Grid([axis])).view(p, m)
    for i in (0, 1, 3):
        for k in range(m):

            def wave(x, i=i, k=k):
                return float(
                    windows(torch.tensor(x, dtype=torch.float64), p, m, periodic)[1][i, k] * v(torch.tensor(x))
                )

            points = [j / (2 * p) for j in range(2 * p + 1)]
            expected = p * quad(wave, 0, 1, points=points, limit=200)[0]
            assert abs(z[i, k] - expected) < 3e-6


@pytest.mark.parametrize(("nodes", "order"), [("cell", 2), ("uniform", 2), ("periodic", 2), ("left", 1)])
def test_moments_converge_with_the_nodes(nodes, order):
    w = Windows((3, 4), (nodes == "periodic", False), 3)

    def z(n):
        grid = Grid([Axis("x", n, nodes=nodes), Axis("y", n, length=2.0, nodes="cell")])
        x, y = grid.points().unbind(-1)
        return w.analyse(
            (torch.sin(2 * pi * x) + (x + x.pow(2) if nodes != "periodic" else 0) * y.cos())[None, ..., None], grid
        )

    exact, extra = z(3 * 768 + (nodes == "uniform")), nodes == "uniform"
    coarse, fine = ((z(n + extra) - exact).norm() for n in (48, 192))
    assert torch.log2(coarse / fine) / 2 > order - 0.15


def test_scattered_samples_at_nodes_are_the_grid():
    grid = Grid([Axis("x", 9, length=2.0, start=1.0), Axis("y", 11, nodes="uniform"), Axis("z", 6, nodes="cell")])
    w = Windows((3, 2, 2), (True, False, False), 3)
    v = torch.randn(2, *grid.shape, 4, dtype=torch.float64)
    x = (grid.points().flatten(0, -2) - torch.tensor([1.0, 0, 0])) / torch.tensor([2.0, 1, 1])
    z = w.analyse(v, grid)
    torch.testing.assert_close(w.analyse_at(v.flatten(1, -2), x.unsqueeze(0), grid.weights().flatten()), z)
    torch.testing.assert_close(w.synthesise_at(z, x.unsqueeze(0)), w.synthesise(z, grid).flatten(1, -2))


def test_a_torus_turned_by_a_window_turns_its_windows():
    w, grid = Windows((4,), (True,), 3), Grid([Axis("x", 24)])
    v = torch.randn(1, 24, 2, dtype=torch.float64)
    torch.testing.assert_close(w.analyse(v.roll(6, 1), grid), w.analyse(v, grid).roll(1, 1))
    z = torch.randn(1, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(w.synthesise(z.roll(1, 1), grid), w.synthesise(z, grid).roll(6, 1))


def test_a_window_without_samples_holds_nothing():
    w = Windows((4,), (False,), 2)
    z = w.analyse_at(torch.ones(1, 3, 1), torch.full((1, 3, 1), 0.1), torch.ones(3))
    assert torch.equal(z[0, 1:], torch.zeros(3, 2))
    assert z[0, 0, 0] == pytest.approx(1.0)
