"""How a surrogate runs: on which device, in which precision, compiled or not, on how many threads."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

import torch

from pdeops.compilers import check_compiler
from pdeops.errors import InputError, check_positive
from pdeops.surrogate import Surrogate

Precision = Literal["bf16", "32", "64"]


@contextmanager
def running(
    surrogate: Surrogate,
    *,
    device: str = "cpu",
    precision: Precision = "32",
    compile: bool = False,
    threads: int | None = None,
) -> Iterator[Surrogate]:
    """A copy of the surrogate that runs so; the number of this process's threads is as before at the end.

    precision: "32" is that of the weights; "bf16" runs the products of the model in it, while units, conditions and
    interpolation stay in single precision; "64" runs all in double. compile: by torch.compile, one graph for each
    lattice and then one for any batch. threads: of a CPU; None: as many as there are.

    Raises InputError on a device that is not there, on names and numbers out of range, and without a C++ compiler.
    """
    if precision not in get_args(Precision):
        raise InputError(f"precision={precision!r}; wanted one of {get_args(Precision)}")
    check_positive("inference", threads=threads)
    where = _device(device)
    if compile:
        check_compiler("compile=True", "run with compile=False")
    ready = copy.deepcopy(surrogate).eval().requires_grad_(False).to(where)
    if precision == "64":
        ready = ready.double()
    models: list[Any] = [member.model for member in ready.members]  # an ensemble's, by which it rolls out
    if precision == "bf16":
        for model in models:
            model.forward = torch.autocast(where.type, torch.bfloat16)(model.forward)
    former = torch.get_num_threads()
    torch.set_num_threads(threads or former)
    try:
        if compile:
            window = ready.window
            ready.predict(torch.zeros(1, window.in_channels, *window.grid_in.shape))  # tables, constants of the graph
            for model in models:
                model.compile()
        yield ready
    finally:
        torch.set_num_threads(former)


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # an unknown name, or a torch without this device
        there = "cuda" if torch.cuda.is_available() else "cpu"
        raise InputError(f"device={name!r} is not there: this machine has {there}") from error
    return device
