"""Finite differences and interpolation on arbitrary nodes."""

from __future__ import annotations

import torch
from torch import Tensor


def differentiation_matrix(points: Tensor, order: int = 6) -> Tensor:
    """(n, n) matrix D with (D u)_j = u'(x_j) + O(h^order): at each node the derivative of the polynomial
    through the `order + 1` nodes around it (fewer where there are fewer; one-sided at the ends), by barycentric
    weights.

    Source: Berrut and Trefethen, Barycentric Lagrange interpolation, SIAM Review 46 (2004), section 9.3.
    """
    n = len(points)
    width = min(order + 1, n)
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for j in range(n):
        first = min(max(j - width // 2, 0), n - width)
        x = points[first : first + width].double()
        gaps = x[:, None] - x[None, :]
        gaps.fill_diagonal_(1)
        w = 1 / gaps.prod(dim=1)
        i = j - first
        row = w / w[i] / gaps[i]
        row[i] = 0
        row[i] = -row.sum()
        matrix[j, first : first + width] = row
    return matrix


def interpolation_matrix(points: Tensor, targets: Tensor, order: int = 8) -> Tensor:
    """(m, n) matrix P with (P u)_i = u(y_i) + O(h^order) at targets y: the value of the polynomial through the `order`
    nodes around it (fewer where there are fewer; one-sided at the ends). Exact at the nodes.

    Source: Berrut and Trefethen, Barycentric Lagrange interpolation, SIAM Review 46 (2004), equation 2.1.
    """
    points, targets = points.double(), targets.double()
    n, width = len(points), min(order, len(points))
    matrix = torch.zeros(len(targets), n, dtype=torch.float64)
    for i, y in enumerate(targets):
        first = min(max(int(torch.searchsorted(points, y)) - width // 2, 0), n - width)
        x = points[first : first + width]
        for j in range(width):
            others = torch.cat([x[:j], x[j + 1 :]])
            matrix[i, first + j] = ((y - others) / (x[j] - others)).prod()
    return matrix
