"""ViTNO and FANO beside the official ones: forward and backward of equal settings, in turns in one process.

    python experiments/bench/attention.py [--peer PATH] [PART OF A CASE'S NAME ...] [--threads 1] [--repeats 5]
        [--device cuda]

--peer: a checkout of EdoardoCalvello/TransformerNeuralOperators; without, its side is skipped, and ratios are to our
first row. float32 on random fields of cells, 8 x 8 patches, width 32, 8 heads, 6 layers, perceptrons of 128, batch 8;
m frequencies of each sign per axis, m half of a patch's nodes (theirs: the blocks 0 .. m - 1 and -m .. -1, ours: all
|f| < m); of the ViTNO, 32 modes to each side of a convolution of the whole domain (ours: 64 cosines). Theirs without
dropout. Columns: parameters, complex ones as one; milliseconds of a forward pass in training, and with backward, by
medians; ratios of medians / minima / processor time, theirs over ours; the most bytes that torch holds in forward and
backward, weights and their gradients apart.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from beside import Contender, begun, parser, rows, with_device
from common import Job

from pdeops.grid import Axis, Grid
from pdeops.models.fano import FANO
from pdeops.models.vitno import ViTNO

PATCHES, WIDTH, HEADS, DEPTH, HIDDEN, BATCH, SMOOTHING = 8, 32, 8, 6, 128, 8, 32


class Case(NamedTuple):
    name: str
    n: int

    def __str__(self) -> str:
        return f"{self.name} {self.n}^2"


CASES = [Case(name, n) for name in ("ViTNO", "FANO") for n in (64, 128)]


def theirs(case: Case, peer: str) -> nn.Module:
    before = list(sys.path)
    sys.path[:] = [peer, *(path for path in before if not (Path(path) / "models.py").exists())]  # theirs is a folder
    try:
        module = import_module(f"models.{case.name}.{case.name}_pytorch")
    finally:
        sys.path[:] = before
    size = case.n // PATCHES
    smoothing = SMOOTHING if case.name == "ViTNO" else False
    return module.SimpleEncoder(
        domain_dim=2,
        d_model=WIDTH,
        nhead=HEADS,
        num_layers=DEPTH,
        patch=True,
        patch_size=size,
        modes=(size // 2, size // 2),
        im_size=case.n,
        smoothing=smoothing,
        smoothing_modes=smoothing,
        activation="gelu",
        dropout=0.0,
        dim_feedforward=HIDDEN,
    )


def ours(case: Case) -> nn.Module:
    grid = Grid([Axis(name, case.n, nodes="cell") for name in "xy"])
    sizes = {"width": WIDTH, "heads": HEADS, "depth": DEPTH, "hidden": HIDDEN, "patches": PATCHES}
    modes = case.n // PATCHES - 1
    if case.name == "FANO":
        return FANO(1, 1, grid, grid, modes=modes, **sizes)
    return ViTNO(1, 1, grid, grid, modes=modes, smoothing=2 * SMOOTHING, **sizes)


def jobs(model: nn.Module, *inputs: Tensor) -> tuple[Job, Job]:
    """A forward pass that keeps what backward needs, and both."""

    def forward() -> None:
        model(*inputs)

    def both() -> None:
        model.zero_grad()
        model(*inputs).square().mean().backward()

    return forward, both


def measure(case: Case, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    device = options.device
    a = torch.randn(BATCH, 1, case.n, case.n, device=device)
    every: dict[str, Contender] = {}
    if options.peer:
        line = torch.linspace(0, 1, case.n, device=device)
        x = torch.stack(torch.meshgrid(line, line, indexing="ij"))
        model = theirs(case, options.peer).to(device)
        every["official"] = Contender(model, *jobs(model, a[:, 0], None, x))
    own = ours(case).to(device)
    every["**ours**"] = Contender(own, *jobs(own, a))
    rows(case, every, options.repeats, device=device)


def main() -> None:
    options = with_device(parser(__doc__, CASES, 5)).parse_args()
    skipped = "the official side is skipped, and ratios are to our first row"
    columns = "forward, ms", "with backward, ms", "forward x", "with backward x", "MiB"
    for case in begun(options, CASES, skipped, *columns):
        measure(case, options)


if __name__ == "__main__":
    main()
