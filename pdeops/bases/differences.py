"""Values and derivatives of functions known at nodes, as matrices: of polynomials through some, or of one series."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis


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


def derivative_matrix(axis: Axis) -> Tensor:
    """(n, n): values at the nodes of an axis that is not periodic -> derivatives there: of the polynomial through all
    of them on chebyshev nodes, by sixth-order differences on others."""
    return differentiation_matrix(axis.points(), axis.n - 1 if axis.nodes == "chebyshev" else 6)


def interpolation_matrix(points: Tensor, targets: Tensor, order: int = 8) -> Tensor:
    """(m, n) matrix P with (P u)_i = u(y_i) + O(h^order) at targets y: the value of the polynomial through the `order`
    nodes around it (fewer where there are fewer; one-sided at the ends). Exact at the nodes.

    Source: Berrut and Trefethen, Barycentric Lagrange interpolation, SIAM Review 46 (2004), equation 2.1.
    """
    around, values = interpolation_weights(points, targets, order)
    return values.new_zeros(targets.shape[0], points.shape[0]).scatter(1, around, values)


def interpolation_weights(points: Tensor, targets: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """Which `order` nodes are around targets y (*m), and the weight of each: (*m, order), the rows' own entries of
    `interpolation_matrix`. Weights are differentiable in y."""
    points, targets = points.double(), targets.double()
    n = points.shape[0]  # not len, which a compiler's symbol would become a number for
    width = min(order, n)
    first = (torch.searchsorted(points, targets.detach().contiguous()) - width // 2).clamp(0, n - width)
    around = first[..., None] + torch.arange(width, device=points.device)
    x = points[around]
    gaps, same = x[..., :, None] - x[..., None, :], torch.eye(width, dtype=torch.bool, device=points.device)
    factors = (targets[..., None, None] - x[..., None, :]) / gaps.masked_fill(same, 1)
    return around, factors.masked_fill(same, 1).prod(-1)


def series_interpolation_matrix(n: int, s: Tensor) -> Tensor:
    """(m, n) matrix P: the trigonometric series through n equally spaced values of one period, at places s (m), in
    periods from the first of them. The highest frequency of an even n is a cosine alone."""
    s, f = s.double().unsqueeze(-1), torch.arange(n // 2 + 1, dtype=torch.float64, device=s.device)
    both = torch.where((f == 0) | (2 * f == n), 1.0, 2.0).to(f) / n
    angle, node = 2 * pi * s * f, 2 * pi * torch.outer(f, torch.arange(n, device=s.device).to(f) / n)
    return (both * angle.cos()) @ node.cos() + (both * angle.sin()) @ node.sin()


def series_differentiation_matrix(points: Tensor, period: float, modes: int) -> Tensor:
    """(n, n) matrix D: the derivative, at the nodes, of the trigonometric series of a period that is nearest to the
    values by least squares. Exact on such series, on any part of the period.

    modes: frequencies, both signs together; a real series has the cosines and sines of 0 .. modes // 2.
    Raises InputError where the nodes do not tell all of these apart.
    """
    x, top = points.double() - points[0], modes // 2
    kappa = 2 * pi / period * torch.arange(top + 1, dtype=torch.float64)
    angle = torch.outer(x, kappa)
    cos, sin = angle.cos(), angle.sin()
    values = torch.cat([cos, sin[:, 1:]], dim=1)
    slopes = torch.cat([-kappa * sin, (kappa * cos)[:, 1:]], dim=1)
    q, r = torch.linalg.qr(values)  # not by a pseudo-inverse, which loses digits on short parts of a period
    sizes = r.diagonal().abs()
    if len(x) < values.shape[1] or sizes.min() < 1e-12 * sizes.max():
        raise InputError(
            f"a series of {modes} modes has {values.shape[1]} terms of period {period:g}, which {len(x)} nodes from "
            f"{float(points[0]):g} to {float(points[-1]):g} do not tell apart: take fewer modes (of an SFNO: "
            "model.time_modes), or more nodes"
        )
    return torch.linalg.solve_triangular(r, slopes, upper=True, left=False) @ q.mT
