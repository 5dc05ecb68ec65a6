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
from common import Job, header, peak_bytes, row
from timing import Timing, timings

from pdeops.grid import Axis, Grid
from pdeops.memory import keep_freed
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
    every = [jobs(model, a) for model in models.values()]
    for _, both in every:
        both()
    memory = [peak_bytes(both, "cpu") for _, both in every]
    times = timings(options.repeats, *(job for pair in every for job in pair))
    for i, (name, model) in enumerate(models.items()):
        own = times[2 * i : 2 * i + 2]
        count = sum(p.numel() for p in model.parameters())
        told = (f"{1e3 * timing.median:.4g}" for timing in own)
        ratios = [compared(*pair) for pair in zip(times[:2], own, strict=True)]
        row(case, name, f"{count:,}", *told, *ratios, f"{memory[i] / 2**20:.0f}", difference)


def compared(theirs: Timing, mine: Timing) -> str:
    return " / ".join(f"{a / b:.2f}" for a, b in zip(theirs, mine, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"parts of names; all without any: {'; '.join(map(str, CASES))}")
    parser.add_argument("--peer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed()
    if not options.peer:
        print("no --peer: the official side is skipped, and ratios are to our own row")
    header(
        "case", "model", "parameters", "forward, ms", "with backward, ms", "forward x", "both x", "MiB", "difference"
    )
    for case in CASES:
        if not options.cases or any(part in str(case) for part in options.cases):
            measure(case, options)


if __name__ == "__main__":
    main()
