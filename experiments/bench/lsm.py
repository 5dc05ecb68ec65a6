"""LSM beside thuml's: forward and backward of equal widths, batch and grid, in turns in one process.

    python experiments/bench/lsm.py [--peer PATH] [PART OF A CASE'S NAME ...] [--threads 1] [--repeats 7]

--peer: a checkout of thuml's Latent-Spectral-Models; without, its side is skipped, and ratios are to our first row.
float32 on random fields; theirs as its class comes, on the CPU (its tensors' moves to a GPU are left out). Rows of
ours: with batch norms as theirs has them, by compiled passes and by torch's operators; with our default norm; the U-Net
of the same width alone, which shows what the spectral blocks cost. Columns: parameters; milliseconds of a forward pass
in training, and with backward, by medians; ratios of medians / minima / processor time, theirs over ours; the most
bytes that torch holds in forward and backward, weights and their gradients apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from beside import Contender, begun, parser, rows
from common import Job

from pdeops.grid import Axis, Grid
from pdeops.models.lsm import LSM
from pdeops.models.unet import UNet
from pdeops.nn import latent_spectral


class Case(NamedTuple):
    n: int
    width: int
    batch: int

    def __str__(self) -> str:
        return f"{self.n}^2 d{self.width} B{self.batch}"


CASES = [Case(64, 32, 8), Case(128, 32, 8), Case(64, 64, 8)]


def theirs(case: Case, peer: str) -> nn.Module:
    spec = spec_from_file_location("thuml_lsm", Path(peer) / "models" / "LSM_2D.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    patch = f"{case.n // 16},{case.n // 16}"
    sizes = {"in_dim": 1, "out_dim": 1, "d_model": case.width, "num_token": 4, "num_basis": 12}
    there, torch.Tensor.cuda = torch.Tensor.cuda, lambda tensor: tensor  # type: ignore[method-assign, assignment]
    try:
        return module.Model(SimpleNamespace(**sizes, patch_size=patch, padding="0,0"))
    finally:
        torch.Tensor.cuda = there  # type: ignore[method-assign]


def jobs(model: nn.Module, a: Tensor) -> tuple[Job, Job]:
    """A forward pass that keeps what backward needs, and both."""

    def forward() -> None:
        model(a)

    def both() -> None:
        model.zero_grad()
        model(a).square().mean().backward()

    return forward, both


@contextmanager
def operators() -> Iterator[None]:
    """Spectral blocks by torch's operators."""
    compiled = latent_spectral.suits
    latent_spectral.suits = lambda *_: False
    try:
        yield
    finally:
        latent_spectral.suits = compiled


def within(job: Job) -> Job:
    def run() -> None:
        with operators():
            job()

    return run


def measure(case: Case, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    grid = Grid([Axis(name, case.n, nodes="uniform") for name in "xy"])
    a = torch.randn(case.batch, 1, case.n, case.n)
    every: dict[str, Contender] = {}
    if options.peer:
        model = theirs(case, options.peer)
        every["thuml"] = Contender(model, *jobs(model, a.movedim(1, -1).contiguous()))
    own = LSM(1, 1, grid, grid, width=case.width, norm="batch")
    every["**ours**, norm=batch"] = Contender(own, *jobs(own, a))
    every["ours, norm=batch, torch's operators"] = Contender(own, *map(within, jobs(own, a)))
    for name, model in {
        "**ours**, as it comes (norm=group)": LSM(1, 1, grid, grid, width=case.width),
        "our U-Net alone, norm=batch": UNet(1, 1, grid, grid, width=case.width, norm="batch"),
    }.items():
        every[name] = Contender(model, *jobs(model, a))
    rows(case, every, options.repeats)


def main() -> None:
    options = parser(__doc__, CASES, 7).parse_args()
    skipped = "thuml's side is skipped, and ratios are to our first row"
    columns = "forward, ms", "with backward, ms", "forward x", "with backward x", "MiB"
    for case in begun(options, CASES, skipped, *columns):
        measure(case, options)


if __name__ == "__main__":
    main()
