"""Where the output of a model is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid


class OnGrids(Protocol):
    """A model that maps fields on one grid to fields on another of as many axes."""

    grid_in: Grid
    grid_out: Grid


def nodes_wanted(model: OnGrids, n_in: Sequence[int], out: Grid | Tensor | None) -> tuple[int, ...]:
    """The output's numbers of nodes: those of `out`, else at the resolution of an input of n_in nodes.

    Raises InputError if `out` is not the model's output grid with other numbers of nodes.
    """
    if out is None:
        pairs = zip(n_in, model.grid_in.shape, model.grid_out.shape, strict=True)
        return tuple(n if trained == new else round(n * new / trained) for n, trained, new in pairs)
    name, own = type(model).__name__, model.grid_out
    if isinstance(out, Tensor):
        raise InputError(f"{name} evaluates on grids, not at scattered points: give out=Grid(...)")
    if not isinstance(out, Grid):
        raise InputError(f"out={out!r}: wanted a Grid")
    if out.ndim != own.ndim or own.resized(out.shape) != out:
        raise InputError(f"out={out} is not this {name}'s output grid with other numbers of nodes: {own}")
    return out.shape
