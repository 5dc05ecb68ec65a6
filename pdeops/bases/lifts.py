"""Explicit functions with given data on the walls of a box: u = g + v, v with homogeneous conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pdeops.bases.chebyshev import ChebyshevSeries
from pdeops.bases.differences import differentiation_matrix, interpolation_matrix
from pdeops.bases.expansions import along
from pdeops.bases.polynomials import Condition, Ends, check_conditions
from pdeops.constants import constant, plain
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
    Raises InputError on axes that are not there, are periodic or have fewer than three nodes, on data of another shape
    or that are not finite, on conditions that `polynomials.ShenSeries` refuses, and on data that do not agree at a
    corner.
    """
    ends = {name: (first.condition, last.condition) for name, (first, last) in walls.items()}
    check_walls(grid, ends)
    values = _data(grid, walls)
    g = torch.zeros(grid.shape, dtype=torch.float64)
    for name, (dim, traces, blends) in _tables(grid, ends, g).items():
        g = g + along(blends, values[name] - along(traces, g, dim), dim)
    largest = max((float(value.detach().abs().max()) for value in values.values()), default=0.0)
    for name, (dim, traces, _) in _tables(grid, ends, g).items():
        missed = float((values[name] - along(traces, g, dim)).detach().abs().max())
        if missed > COMPATIBLE * largest:
            raise InputError(
                f"walls of axes {list(walls)}: data that disagree at corners, where the conditions of axis {name!r} "
                f"and of another would be missed by {missed:.2g}. Give data that one function has."
            )
    return g


def lift_of(w: Tensor, grid: Grid, ends: Mapping[str, Ends]) -> Tensor:
    """The `lift` of what w (..., *grid.shape) itself has on the walls: of the same shape, precision and device. A
    projection, linear in w: u - lift_of(u - g) has the data of g and differs from u by no more than these ask."""
    g = torch.zeros_like(w)
    for dim, traces, blends in _tables(grid, ends, w).values():
        g = g + along(blends, along(traces, w - g, dim), dim)
    return g


def outward(sides: Sequence[Sequence[float]]) -> Ends:
    """Of (alpha, beta) of the first and the last side, alpha u + beta du/dn with the outward normal n, the conditions
    on slopes along the axis."""
    (alpha, beta), last = ([float(x) for x in side] for side in sides)
    return Condition(alpha, -beta or 0.0), Condition(*last)


def traces(axis: Axis, ends: Ends, like: Tensor) -> Tensor:
    """(2, n): values at the nodes -> alpha u + beta u' at the first and at the last end."""
    return _table((axis, ends, "traces"), (), like.dtype, like.device)


def check_walls(grid: Grid, ends: Mapping[str, Ends]) -> None:
    """Raise InputError on axes that are not there, are periodic or have fewer than three nodes, and on conditions that
    `polynomials.ShenSeries` refuses."""
    for name, conditions in ends.items():
        if name not in grid.names or (axis := grid[grid.names.index(name)]).periodic or axis.n < 3:
            raise InputError(f"walls of axis {name!r} of {grid}: wanted one that is not periodic, of at least 3 nodes")
        check_conditions(axis, *conditions)


def _data(grid: Grid, walls: Mapping[str, tuple[Wall, Wall]]) -> dict[str, Tensor]:
    """By axis the data of both walls along its dimension."""
    found, batches = {}, []
    for name, (first, last) in walls.items():
        dim = grid.names.index(name) - grid.ndim
        beside = tuple(axis.n for axis in grid if axis.name != name)
        values = [torch.as_tensor(wall.value, dtype=torch.float64) for wall in (first, last)]
        for value in values:
            if value.ndim and tuple(value.shape[value.ndim - len(beside) :]) != beside:
                wanted = ", ".join(map(str, beside))
                told = f"data {tuple(value.shape)} on walls of axis {name!r}: wanted a number or (..., {wanted})"
                raise InputError(told)
            if not value.isfinite().all():
                raise InputError(f"data on walls of axis {name!r} hold NaN or infinite values")
            batches.append(tuple(value.shape[: value.ndim - len(beside)]) if value.ndim else ())
        try:
            torch.broadcast_shapes(*batches)
        except RuntimeError:
            told = f"data on walls with leading axes {[b for b in batches if b]}: wanted the same of all, or none"
            raise InputError(told) from None
        found[name] = torch.stack(torch.broadcast_tensors(*(v if v.ndim else v.expand(beside) for v in values)), dim)
    return found


def _tables(grid: Grid, ends: Mapping[str, Ends], like: Tensor) -> dict[str, tuple[int, Tensor, Tensor]]:
    """Of each axis with walls its dimension, from the last, the rows (2, n) of its conditions and its blending
    functions (n, 2)."""
    return {
        name: (
            dim - grid.ndim,
            traces(grid[dim], conditions, like),
            _table((grid[dim], conditions, "blends"), (), like.dtype, like.device),
        )
        for name, conditions in ends.items()
        for dim in [grid.names.index(name)]
    }


@constant
@plain
def _table(
    what: tuple[Axis, Ends, Literal["traces", "blends"]], sizes: tuple[()], dtype: torch.dtype, device: torch.device
) -> Tensor:
    axis, ends, which = what
    if which == "blends":
        return _blends(axis, ends).to(device, dtype)
    return torch.cat([_trace(axis, i, condition) for i, condition in enumerate(ends)]).to(device, dtype)


def _trace(axis: Axis, last: int, condition: Condition) -> Tensor:
    """(1, n): values at the nodes -> alpha u + beta u' at the first end, or the last."""
    width = axis.n if axis.nodes == "chebyshev" else min(axis.n, WIDTH)
    near = slice(axis.n - width, axis.n) if last else slice(0, width)
    x, end = axis.points()[near], torch.tensor([axis.start + last * axis.length], dtype=torch.float64)
    row = torch.zeros(1, axis.n, dtype=torch.float64)
    there = interpolation_matrix(x, end, width)  # exactly 1 and 0 at a node
    row[:, near] = condition.alpha * there + condition.beta * there @ differentiation_matrix(x, width - 1)
    return row


def _blends(axis: Axis, ends: Ends) -> Tensor:
    """(n, 2): h_e at the nodes, in 1 and xi, or between Neumann walls in xi and xi^2."""
    first = int(not any(condition.alpha for condition in ends))
    terms = ChebyshevSeries(replace(axis, nodes="chebyshev"), 3)
    places = torch.tensor([axis.start, axis.start + axis.length], dtype=torch.float64)
    alpha, beta = torch.tensor(ends, dtype=torch.float64).T[..., None]
    sides = (alpha * terms.values(places) + beta * terms.values(places, 1))[:, first : first + 2]
    return terms.values(axis.points())[:, first : first + 2] @ torch.linalg.inv(sides)
