"""MgNO beside the official one: forward and backward at equal sizes, in turns in one process.

    python experiments/bench/mgno.py [--peer PATH] [PART OF A CASE'S NAME ...] [--threads 1] [--repeats 15]

--peer: a checkout of xlliu2017/MgNO; without, its side is skipped. float32, batch 8, random fields, the networks of its
Darcy and Navier-Stokes commands (the latter as `MgNO_DC` with circular padding and without norms, whose maps are tied
to 64^2). Ours has its weights, where prolongations agree. Columns: parameters; milliseconds of a forward pass and of
one with backward by medians; ratios of medians / minima / processor time, theirs over ours; the most bytes that torch
holds meanwhile, weights apart; relative difference of the outputs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from beside import Contender, begun, parser, rows
from common import Job

from pdeops.grid import Axis, Grid
from pdeops.models.mgno import MgNO

BATCH = 8


class Case(NamedTuple):
    padding: str
    n: int
    width: int
    depth: int
    pre: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.padding} {self.n}^2 W{self.width} B{BATCH}"


CASES = [
    Case(*sizes)
    for n in (64, 128)
    for sizes in (("zeros", n, 24, 4, (1, 1, 1, 1, 1, 2)), ("circular", n, 32, 5, (1, 1, 1, 2, 2)))
]


def ours(case: Case) -> MgNO:
    nodes = "left" if case.padding == "zeros" else "periodic"
    grid = Grid([Axis("x", case.n, nodes=nodes), Axis("y", case.n, nodes=nodes)])
    return MgNO(1, 1, grid, grid, width=case.width, depth=case.depth, levels=len(case.pre), pre=case.pre)


def theirs(case: Case, peer: str) -> nn.Module:
    sys.path.insert(0, peer)
    for name, used in (("torchinfo", "summary"), ("utilities3", "count_params")):  # for their script's printing alone
        sys.modules[name] = ModuleType(name)
        setattr(sys.modules[name], used, None)
    from models import MgNO_DC

    return MgNO_DC(case.depth, case.width, 1, 1, [[nu, 0] for nu in case.pre], padding_mode=case.padding)


def jobs(model: nn.Module, a: Tensor) -> tuple[Job, Job]:
    """A forward pass, and one with backward."""

    def forward() -> None:
        with torch.no_grad():
            model(a)

    def both() -> None:
        model.zero_grad()
        model(a).square().mean().backward()

    return forward, both


def measure(case: Case, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    a, models = torch.randn(BATCH, 1, case.n, case.n), {"**ours**": ours(case)}
    difference = ""
    if options.peer:
        models = {"official": theirs(case, options.peer)} | models
        models["**ours**"].load_official(models["official"].state_dict())
        with torch.no_grad():
            u, v = (model(a) for model in models.values())
        difference = f"{float((u - v).norm() / u.norm()):.1e}"
    every = {name: Contender(model, *jobs(model, a)) for name, model in models.items()}
    rows(case, every, options.repeats, difference)


def main() -> None:
    options = parser(__doc__, CASES, 15).parse_args()
    skipped = "the official side is skipped, and ratios are to our own row"
    columns = "forward, ms", "with backward, ms", "forward x", "both x", "MiB", "difference"
    for case in begun(options, CASES, skipped, *columns):
        measure(case, options)


if __name__ == "__main__":
    main()
