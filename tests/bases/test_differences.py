"""Finite differences: exactness and order."""

import pytest
import torch

from pdeops.bases.differences import differentiation_matrix


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
