"""The LSM of scattered points beside thuml's: forward and backward of equal widths, points and latent lattices, in
turns in one process.

    python experiments/bench/point_lsm.py [--peer PATH] [PART OF A CASE'S NAME ...] [--threads 1] [--repeats 5]

--peer: a checkout of thuml's Latent-Spectral-Models; without, its side is skipped, and ratios are to our first row.
float32, random points, a code of 42 numbers for the deformation, 96^2 latent nodes, 12 modes to each side; theirs as
its classes come, on the CPU (its tensors' moves to a GPU are left out). Columns: parameters; milliseconds of a forward
pass in training, and with backward, by medians; ratios of medians / minima / processor time, theirs over ours; the most
bytes that torch holds in forward and backward, weights and their gradients apart.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from beside import Contender, begun, parser, rows

from pdeops.grid import Axis, Grid
from pdeops.models.point_lsm import PointLSM
from pdeops.points import Points

CODE, LATENT = 42, 96


class Case(NamedTuple):
    points: int
    width: int
    batch: int

    def __str__(self) -> str:
        return f"{self.points} points d{self.width} B{self.batch}"


CASES = [Case(972, 32, 8), Case(4000, 32, 2), Case(16000, 32, 1)]


@contextmanager
def on_the_cpu() -> Iterator[None]:
    """Tensors made or moved there stay here."""

    def here(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args, device=None, **more: make(*args, **more)

    parts = [patch.object(torch, name, here(getattr(torch, name))) for name in ("tensor", "arange")]
    with parts[0], parts[1], patch.object(Tensor, "cuda", lambda tensor: tensor):
        yield


def theirs(case: Case, peer: str) -> tuple[nn.Module, Callable[..., Tensor]]:
    """Their model with its deformation, and a call of both."""
    spec = spec_from_file_location("thuml_lsm_points", Path(peer) / "models" / "LSM_Irregular_Geo.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sizes = {"in_dim": 2, "out_dim": 1, "d_model": case.width, "num_token": 4, "num_basis": 12}
    with on_the_cpu():
        model = module.Model(SimpleNamespace(**sizes, patch_size="6,6", padding="0,0"), s1=LATENT, s2=LATENT)
        deformation = module.IPHI()
    return nn.ModuleList([model, deformation]), partial(model, iphi=deformation)


def contender(model: nn.Module, run: Callable[[], Tensor]) -> Contender:
    def forward() -> None:
        run()

    def both() -> None:
        model.zero_grad()
        run().square().mean().backward()

    return Contender(model, forward, both)


def measure(case: Case, options: argparse.Namespace) -> None:
    torch.manual_seed(0)
    x, code = torch.rand(case.batch, case.points, 2), torch.randn(case.batch, CODE)
    every: dict[str, Contender] = {}
    if options.peer:
        model, run = theirs(case, options.peer)
        every["thuml"] = contender(model, partial(run, x, code=code))
    grid, nothing = Grid(Axis(name, LATENT) for name in "xy"), x.new_zeros(case.batch, 0, case.points)
    for name, norm in (("**ours**, norm=batch", "batch"), ("**ours**, as it comes (norm=group)", "group")):
        own = PointLSM(0, 1, grid, grid, width=case.width, latent=LATENT, code=CODE, norm=norm)  # type: ignore[arg-type]
        every[name] = contender(own, partial(own.at, nothing, Points(x), code=code))
    rows(case, every, options.repeats)


def main() -> None:
    options = parser(__doc__, CASES, 5).parse_args()
    skipped = "thuml's side is skipped, and ratios are to our first row"
    columns = "forward, ms", "with backward, ms", "forward x", "with backward x", "MiB"
    for case in begun(options, CASES, skipped, *columns):
        measure(case, options)


if __name__ == "__main__":
    main()
