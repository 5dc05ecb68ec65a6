"""What models of fields on grids share: options for each axis, the input's shape, where the output is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

from torch import Tensor

from pdeops.errors import InputError, check_positive
from pdeops.grid import Grid

Option = TypeVar("Option")


class OnGrids(Protocol):
    """A model that maps fields on one grid to fields on another of as many axes."""

    in_channels: int
    grid_in: Grid
    grid_out: Grid


def for_each_axis(name: str, given: Option | Sequence[Option], grid: Grid) -> tuple[Option, ...]:
    """One option for all axes, or one for each. Raises InputError on another number of them."""
    each: tuple[Any, ...] = (given,) * grid.ndim if isinstance(given, int | str) else tuple(given)  # type: ignore[arg-type]
    if len(each) != grid.ndim:
        raise InputError(f"model.{name}={list(each)}; wanted one or {grid.ndim}, one for each of {grid.names}")
    return each


def check_axes(name: str, grid_in: Grid, grid_out: Grid) -> None:
    """Raise InputError unless both grids have the same axes, one to three."""
    if grid_in.names != grid_out.names:
        raise InputError(f"{name} keeps its axes; got {grid_in.names} in and {grid_out.names} out")
    if not 1 <= grid_in.ndim <= 3:
        raise InputError(f"{name} works on 1 to 3 axes; this grid has {grid_in.ndim}: {grid_in.names}")


def check_growth(name: str, grid_in: Grid, grid_out: Grid) -> None:
    """Raise InputError where one node of an axis, interpolated, would become several that are the same."""
    for here, there in zip(grid_in, grid_out, strict=True):
        if here.n == 1 < there.n:
            raise InputError(
                f"{name} interpolates its axes, and of 1 node of {here.name!r} all {there.n} would be the same: take "
                "data.window.history=channel, data.window.n_in=2 or more, or a model of space and time (model=sfno)"
            )


def check_input(model: OnGrids, a: Tensor, nodes: Sequence[int] | None = None) -> None:
    """Raise InputError unless a has the channels and as many axes as the model's inputs, and the nodes they need.

    nodes: of the whole field, if a is a part of it.
    """
    if a.ndim != model.grid_in.ndim + 2 or a.shape[1] != model.in_channels:
        raise InputError(
            f"{type(model).__name__} got an input of shape {tuple(a.shape)}; wanted (batch, {model.in_channels} "
            f"channels, {', '.join(model.grid_in.names)})"
        )
    for axis, n in zip(model.grid_in, a.shape[2:] if nodes is None else nodes, strict=True):
        if n < axis.fewest:
            raise InputError(
                f"{type(model).__name__} got an input of shape {tuple(a.shape)}, with {n} of axis {axis.name!r}: "
                f"wanted at least {axis.fewest} {axis.nodes} nodes"
            )


def nodes_wanted(model: OnGrids, n_in: Sequence[int], out: Grid | Tensor | None) -> tuple[int, ...]:
    """The output's numbers of nodes: those of `out`, else at the resolution of an input of n_in nodes, axes going by
    their names; one that the input does not have keeps its own.

    Raises InputError if `out` is not the model's output grid with other numbers of nodes.
    """
    if out is None:
        given = {axis.name: (n, axis.n) for axis, n in zip(model.grid_in, n_in, strict=True)}
        pairs = [(axis.n, *given.get(axis.name, (1, 1))) for axis in model.grid_out]
        return tuple(n if trained == new else round(n * new / trained) for new, n, trained in pairs)
    name, own = type(model).__name__, model.grid_out
    if isinstance(out, Tensor):
        raise InputError(f"{name} evaluates on grids, not at scattered points: give out=Grid(...)")
    if not isinstance(out, Grid):
        raise InputError(f"out={out!r}: wanted a Grid")
    if out.ndim != own.ndim or own.resized(out.shape) != out:
        raise InputError(f"out={out} is not this {name}'s output grid with other numbers of nodes: {own}")
    return out.shape


def check_sizes(**sizes: int) -> None:
    """Raise InputError on the first option that is less than 1."""
    check_positive("model", **sizes)
