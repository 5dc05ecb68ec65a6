"""A surrogate as the service offers it: what it says of itself, what it takes, how it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Axis
from pdeops.serve.limits import REFINED
from pdeops.serve.refusals import Refusal
from pdeops.surrogate import Surrogate

Out = tuple[int, ...] | None


@dataclass(eq=False)
class Served:
    """card: what its maker says of it (units among it), or nothing."""

    name: str
    surrogate: Surrogate
    card: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def members(self) -> list[Surrogate]:
        """Of an ensemble; else the surrogate alone."""
        return self.surrogate.members

    def description(self) -> dict[str, Any]:
        """Names, channels, grids, units, the problem and the card, in plain values."""
        surrogate, window, problem = self.surrogate, self.surrogate.window, self.surrogate.problem
        told = {
            "name": self.name,
            "model": type(surrogate.model).__name__,
            "parameters": sum(p.numel() for p in surrogate.model.parameters()),
            "inputs": list(window.in_names),
            "outputs": list(window.out_names),
            "fields": list(window.targets),
            "grid_in": [_axis(axis) for axis in window.grid_in],
            "grid_out": [_axis(axis) for axis in window.grid_out],
            "space": [_axis(axis) for axis in window.grid_out.space],
            "mean": surrogate.normalize_in.mean.tolist(),
            "deviation": surrogate.normalize_in.std.tolist(),
            "evolves": window.evolves,
            "units": self.card.get("units"),
            "card": self.card,
        }
        if window.evolves:
            stored = 1 + (window.bound[0].n - 1) // window.stride
            told |= {
                "time_step": window.time_step,
                "frames_in": window.n_in,
                "frames_out": window.n_out,
                "frames_trained": stored - window.n_in,  # that follow an input in its data
            }
        if problem is not None:
            solver = getattr(problem, "solver", problem)
            told["problem"] = {
                "name": problem.name,
                "inputs": list(problem.in_names),
                "grid": [_axis(axis) for axis in problem.grid.space],
                "parameters": problem.parameters,
                "solver": getattr(solver, "scheme", type(solver).__name__.lower()),
                "tolerance": getattr(solver, "tolerance", None),
            }
        return told

    def checked(self, a: np.ndarray | None) -> Tensor:
        """An input in the surrogate's precision. Raises InputError unless it is one that `predict` takes, a 413 if it
        has many more nodes than the trained lattice."""
        grid = self.surrogate.window.grid_in
        if a is None:
            axes, channels = ", ".join(grid.names), list(self.surrogate.window.in_names)
            raise Refusal(
                422, "bad_input", f"no input; wanted (batch, {len(channels)}, {axes}), the channels {channels}"
            )
        if a.ndim == grid.ndim + 2 and prod(a.shape[2:]) > REFINED * prod(grid.shape):
            raise Refusal(
                413,
                "too_large",
                f"{_times(a.shape[2:])} nodes; {self.name} was trained on {_times(grid.shape)}, and {REFINED} times as "
                "many are taken",
            )
        return self.surrogate.accepted(a).cpu()

    def out(self, sizes: Any) -> Out:
        """Nodes of another output grid, as `out=64,64` or a list. Raises a 422 on anything else, a 413 on too many."""
        if sizes is None:
            return None
        grid = self.surrogate.window.grid_out
        try:
            given = sizes.split(",") if isinstance(sizes, str) else sizes
            out = tuple(whole("out", n, 1, 2**20) for n in given)
        except TypeError:
            out = ()
        if len(out) != grid.ndim:
            names = ", ".join(grid.names)
            raise Refusal(422, "bad_option", f"out={str(sizes)[:40]}: wanted {grid.ndim} numbers of nodes, of {names}")
        if prod(out) > REFINED * prod(grid.shape):
            raise Refusal(
                413, "too_large", f"out={_times(out)}: wanted at most {REFINED} times the trained {_times(grid.shape)}"
            )
        return out

    def at_once(self, batch: int, nodes: int) -> int:
        """Samples of so many nodes that take the memory of `batch` on the trained lattice."""
        return max(1, batch * prod(self.surrogate.window.grid_in.shape) // nodes)

    def values_out(self, a: Tensor, out: Out) -> int:
        """How many values the answer to an input has."""
        window = self.surrogate.window
        nodes = prod(out) if out else prod(a.shape[2:]) * prod(window.grid_out.shape) // prod(window.grid_in.shape)
        return len(a) * window.out_channels * nodes

    def answer(self, a: Tensor, out: Out, member: int | None = None) -> Tensor:
        """u (B, C_out, *grid_out) of checked inputs, in single precision at least: the surrogate's, or a member's.
        Raises InputError where the model does not take their lattice."""
        window = self.surrogate.window
        grid = None if out is None else window.grid_out.resized(out)
        try:
            with torch.inference_mode():
                asked = self.surrogate if member is None else self.members[member]
                u = asked(a.to(self.surrogate.normalize_in.mean), grid).cpu()
            return u.to(torch.promote_types(u.dtype, torch.float32))  # others' arrays know no bfloat16
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            if isinstance(error, InputError) or (tuple(a.shape[2:]) == window.grid_in.shape and out is None):
                raise
            nodes = _times(a.shape[2:])
            trained = _times(window.grid_in.shape)
            raise InputError(f"{self.name} does not take {nodes} nodes; it was trained on {trained}") from error

    def warm(self) -> None:
        """One answer, so that the first request does not wait for what is done once."""
        window = self.surrogate.window
        mean = self.surrogate.normalize_in.mean
        a = mean.view(1, -1, *(1,) * window.grid_in.ndim).expand(1, -1, *window.grid_in.shape)
        self.answer(a, None)


def whole(name: str, value: Any, least: int, most: int) -> int:
    """A whole number that came as text or in JSON. Raises a 422 on anything else."""
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal(422, "bad_option", f"{name}={text[:40]}: wanted a whole number from {least} to {most}")
    if not least <= int(text) <= most:
        raise Refusal(422, "bad_option", f"{name}={text}: wanted {least} to {most}")
    return int(text)


def _axis(axis: Axis) -> dict[str, Any]:
    return {"name": axis.name, "n": axis.n, "length": axis.length, "start": axis.start, "nodes": axis.nodes}


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
