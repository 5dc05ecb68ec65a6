"""Explicit functions with given data on the walls of a box: u = g + v, v with homogeneous conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.expansions import along
from pdeops.bases.polynomials import Condition, check_conditions
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid

WIDTH = 8  # nodes of the polynomials through values next to a wall, on nodes that are not chebyshev ones
COMPATIBLE = 1e-3  # how far data of two walls may differ at their corner, relative to the largest of all


class Wall(NamedTuple):
    """alpha u + beta du/dx = value at one end of an axis; the slope is that along the axis, at either end.

    value: a number, or values (..., *n) at the nodes of the other axes.
    """

    condition: Condition
    value: Tensor | float = 0.0


def lift(grid: Grid, walls: Mapping[str, tuple[Wall, Wall]]) -> Tensor:
    """g (..., *grid.shape), float64, with the conditions of the named axes at their first and their last walls.

    On one axis g is a polynomial of lowest degree: linear, or quadratic between two Neumann walls. On several it is the
    transfinite interpolant, the Boolean sum of these: for axis after axis g <- g + sum_e h_e (value_e - B_e g), B_e u
    the left-hand side of the condition, and h_e the polynomials with B_e h_e = 1 at their own wall and 0 at the other.
    That keeps what the axes before have where data agree at corners, B_i value_j = B_j value_i. Values and slopes at
    walls are those of the polynomial through the nodes (on other nodes than chebyshev ones, through the eight next to
    the wall: to the order of these data given along a wall satisfy conditions on slopes across it).

    Source: Gordon and Hall, Transfinite element methods, Numer. Math. 21 (1973).
    Raises InputError on axes that are not there, are periodic or have fewer than three nodes, on data of another shape,
    on conditions that `polynomials.ShenSeries` refuses, and on data that do not agree at a corner.
    """
    parts = {name: _parts(grid, name, ends) for name, ends in walls.items()}
    g = torch.zeros(grid.shape, dtype=torch.float64)
    for dim, traces, blends, values in parts.values():
        g = g + along(blends, values - along(traces, g, dim), dim)
    largest = max((float(values.detach().abs().max()) for *_, values in parts.values()), default=0.0)
    for name, (dim, traces, _, values) in parts.items():
        missed = float((values - along(traces, g, dim)).detach().abs().max())
        if missed > COMPATIBLE * largest:
            raise InputError(
                f"walls of axes {list(parts)}: data that disagree at corners, where the conditions of axis {name!r} "
                f"and of another would be missed by {missed:.2g}. Give data that one function has."
            )
    return g


def _parts(grid: Grid, name: str, ends: tuple[Wall, Wall]) -> tuple[int, Tensor, Tensor, Tensor]:
    """The dimension of an axis, the rows (2, n) of its conditions, its blending functions (n, 2), and the data with
    both walls along the dimension."""
    if name not in grid.names or (axis := grid[grid.names.index(name)]).periodic or axis.n < 3:
        raise InputError(f"walls of axis {name!r} of {grid}: wanted one that is not periodic, of at least 3 nodes")
    conditions = [wall.condition for wall in ends]
    check_conditions(axis, *conditions)
    dim = grid.names.index(name) - grid.ndim
    beside = tuple(other.n for other in grid if other is not axis)
    values = [torch.as_tensor(wall.value, dtype=torch.float64) for wall in ends]
    for value in values:
        if value.ndim and tuple(value.shape[value.ndim - len(beside) :]) != beside:
            wanted = ", ".join(map(str, beside))
            raise InputError(f"data {tuple(value.shape)} on walls of axis {name!r}: wanted a number or (..., {wanted})")
    data = torch.broadcast_tensors(*(v.expand(beside) if not v.ndim else v for v in values))
    traces = torch.cat([_trace(axis, i, condition) for i, condition in enumerate(conditions)])
    return dim, traces, _blends(axis, conditions), torch.stack(data, dim)


def _trace(axis: Axis, last: int, condition: Condition) -> Tensor:
    """(1, n): values at the nodes -> alpha u + beta u' at the first end, or the last."""
    width = axis.n if axis.nodes == "chebyshev" else min(axis.n, WIDTH)
    near = slice(axis.n - width, axis.n) if last else slice(0, width)
    x = axis.points()[near]
    through = ChebyshevSeries(Axis(axis.name, width, float(x[-1] - x[0]), "chebyshev", float(x[0])))
    end = torch.tensor([axis.start + last * axis.length], dtype=torch.float64)
    wanted = condition.alpha * through.values(end) + condition.beta * through.values(end, 1)
    row = torch.zeros(1, axis.n, dtype=torch.float64)
    row[:, near] = torch.linalg.solve(through.values(x), wanted, left=False)
    return row


def _blends(axis: Axis, conditions: Sequence[Condition]) -> Tensor:
    """(n, 2): h_e at the nodes, in 1 and xi, or between Neumann walls in xi and xi^2."""
    first = int(not any(condition.alpha for condition in conditions))
    terms = ChebyshevSeries(replace(axis, nodes="chebyshev"), 3)
    ends = torch.tensor([axis.start, axis.start + axis.length], dtype=torch.float64)
    alpha, beta = torch.tensor(conditions, dtype=torch.float64).T[..., None]
    sides = (alpha * terms.values(ends) + beta * terms.values(ends, 1))[:, first : first + 2]
    return terms.values(axis.points())[:, first : first + 2] @ torch.linalg.inv(sides)
