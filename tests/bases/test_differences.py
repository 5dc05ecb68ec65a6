"""Derivatives by matrices: exactness and order."""

from math import pi

import pytest
import torch

from pdeops.bases.differences import (
    derivative_matrix,
    differentiation_matrix,
    interpolation_matrix,
    series_differentiation_matrix,
    series_interpolation_matrix,
)
from pdeops.errors import InputError
from pdeops.grid import Axis


def test_derivatives_on_an_axis_are_those_that_its_nodes_carry():
    def error(n, nodes):
        axis = Axis("x", n, 2.0, nodes, start=-1.0)
        x = axis.points()
        return float((derivative_matrix(axis) @ torch.sin(3 * x) - 3 * torch.cos(3 * x)).abs().max())

    assert error(24, "chebyshev") < 1e-12
    assert error(24, "uniform") / error(47, "uniform") == pytest.approx(2**6, rel=0.4)


def test_exact_for_polynomials_up_to_the_order():
    x = torch.tensor([0.0, 0.3, 0.5, 1.1, 1.4, 2.0, 2.2, 2.9, 3.0], dtype=torch.float64)
    matrix = differentiation_matrix(x, order=6)
    for k in range(7):
        expected = k * x ** max(k - 1, 0)
        torch.testing.assert_close(matrix @ x**k, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_order(order):
    def error(n):
        x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        return (differentiation_matrix(x, order) @ torch.sin(3 * x) - 3 * torch.cos(3 * x)).abs().max()

    assert torch.log2(error(32) / error(64)) == pytest.approx(order, abs=0.25)


def test_two_points_give_the_slope():
    torch.testing.assert_close(
        differentiation_matrix(torch.tensor([0.0, 0.5])), torch.tensor([[-2.0, 2.0], [-2.0, 2.0]], dtype=torch.float64)
    )


def test_interior_differences_are_central():
    D = differentiation_matrix(torch.arange(9.0), 6)
    torch.testing.assert_close(60 * D[4, 1:8], torch.tensor([-1.0, 9, -45, 0, 45, -9, 1], dtype=torch.float64))


@pytest.mark.parametrize("order", [1, 4, 8])
def test_polynomials_are_interpolated_exactly_up_to_the_order(order):
    """From both ends on, at nodes, between them and a little beyond."""
    x = torch.tensor([0.0, 0.3, 0.5, 1.1, 1.4, 2.0, 2.2, 2.9, 3.0], dtype=torch.float64)
    y = torch.tensor([-0.1, 0.0, 0.1, 0.5, 0.8, 1.3, 2.1, 2.95, 3.0, 3.1], dtype=torch.float64)
    matrix = interpolation_matrix(x, y, order)
    assert matrix.shape == (10, 9)
    assert int((matrix != 0).sum(1).max()) == order
    for k in range(order):
        torch.testing.assert_close(matrix @ x**k, y**k, rtol=1e-9, atol=1e-9)
    assert (matrix @ x**order - y**order).abs().max() > 1e-3
    torch.testing.assert_close(interpolation_matrix(x, x, order), torch.eye(9, dtype=torch.float64))


@pytest.mark.parametrize("order", [2, 3, 4, 8])
def test_order_of_interpolation(order):
    """Measured over the whole interval, ends included, where the nodes are all on one side."""

    def error(n):
        x = torch.linspace(0, 1, n + 1, dtype=torch.float64)
        y = torch.linspace(0, 1, 4 * n + 1, dtype=torch.float64)
        return (interpolation_matrix(x, y, order) @ torch.sin(5 * x) - torch.sin(5 * y)).abs().max()

    assert torch.log2(error(20) / error(40)) == pytest.approx(order, abs=0.35)


def test_the_nodes_are_those_around_the_target():
    matrix = interpolation_matrix(torch.arange(10.0), torch.tensor([4.5, 0.5, 8.5]), 4)
    around = torch.tensor([-1.0, 9, 9, -1], dtype=torch.float64) / 16
    torch.testing.assert_close(matrix[0, 3:7], around)
    one_sided = torch.tensor([5.0, 15, -5, 1], dtype=torch.float64) / 16
    torch.testing.assert_close(matrix[1, :4], one_sided)
    torch.testing.assert_close(matrix[2, 6:], one_sided.flip(0))
    assert (matrix != 0).sum(1).tolist() == [4, 4, 4]


def series(x, period, top, seed=0):
    """A random series of frequencies 0 .. top, and its derivative."""
    kappa = 2 * pi / period * torch.arange(top + 1, dtype=torch.float64)
    a, b = torch.randn(2, top + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    angle = torch.outer(x, kappa)
    return angle.cos() @ a + angle.sin() @ b, angle.cos() @ (kappa * b) - angle.sin() @ (kappa * a)


@pytest.mark.parametrize("part", [0.4, 2 / 3, 0.95])
@pytest.mark.parametrize(("modes", "top"), [(1, 0), (8, 4), (9, 4), (16, 8)])
def test_exact_on_series_over_a_part_of_their_period(part, modes, top):
    x = 3.0 + torch.linspace(0, part * 5.0, 41, dtype=torch.float64)
    u, u_x = series(x, 5.0, top)
    found = series_differentiation_matrix(x, 5.0, modes) @ u
    torch.testing.assert_close(found, u_x, rtol=0, atol=1e-10 * float(1 + u_x.abs().max()))
    beyond, slope = series(x, 5.0, top + 1)
    assert (series_differentiation_matrix(x, 5.0, modes) @ beyond - slope).abs().max() > 1e-3


def test_as_many_nodes_as_terms_will_do_and_in_any_order():
    x = torch.tensor([0.7, 0.0, 1.9, 1.2, 2.8], dtype=torch.float64)
    u, u_x = series(x, 4.0, 2)
    torch.testing.assert_close(series_differentiation_matrix(x, 4.0, 5) @ u, u_x)


def test_other_functions_have_the_slope_of_the_nearest_series():
    x = torch.linspace(0, 2.0, 9, dtype=torch.float64)
    u = torch.randn(9, dtype=torch.float64)
    columns = torch.stack([torch.ones_like(x), (pi / 2 * x).cos(), (pi / 2 * x).sin()], dim=1)
    _, a, b = torch.linalg.lstsq(columns, u).solution
    slope = pi / 2 * (b * (pi / 2 * x).cos() - a * (pi / 2 * x).sin())
    torch.testing.assert_close(series_differentiation_matrix(x, 4.0, 3) @ u, slope)


@pytest.mark.parametrize(("n", "period"), [(4, 3.0), (5, 1.0)])  # too few; the last is the first once more
def test_nodes_that_do_not_tell_a_series_are_refused(n, period):
    x = torch.linspace(0, 1, n, dtype=torch.float64)
    with pytest.raises(InputError, match=r"4 modes has 5 terms .* do not tell apart"):
        series_differentiation_matrix(x, period, 4)


@pytest.mark.parametrize("n", [7, 8])
def test_a_series_of_one_period_is_exact_anywhere(n):
    x, y = torch.arange(n, dtype=torch.float64) / n, torch.rand(20, dtype=torch.float64) * 3 - 1
    matrix = series_interpolation_matrix(n, y)
    for k in range((n + 1) // 2):
        for f in (torch.cos, torch.sin):
            torch.testing.assert_close(matrix @ f(2 * pi * k * x), f(2 * pi * k * y), rtol=1e-12, atol=1e-12)
    if n % 2 == 0:
        torch.testing.assert_close(matrix @ torch.cos(pi * n * x), torch.cos(pi * n * y), rtol=1e-12, atol=1e-12)
