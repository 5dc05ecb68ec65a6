"""SFNO beside torch-cfd's: a whole training step of the same width, modes and batch, in turns in one process.

    python experiments/bench/sfno.py [--peer PATH] [PART OF A CASE'S NAME ...] [--threads 1] [--repeats 7]
        [--nodes 64] [--device cuda]

--peer: a checkout of torch-cfd; without, its side is skipped. A step: zero_grad, forward, relative L2 loss, backward,
fused Adam, in float32 on random fields. Theirs as its class comes: ReLU, perceptrons of 4 times the width. Ours as it
comes, and with those perceptrons. Columns: parameters; milliseconds of a forward pass and a step by medians; ratios of
medians / minima / processor time, theirs over ours; the most bytes that torch holds in a step, weights and Adam's state
apart.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from beside import Contender, begun, parser, rows, with_device
from common import Job

from pdeops.grid import Axis, Grid
from pdeops.models.sfno import SFNO
from pdeops.window import Window

STEP = 0.2


class Case(NamedTuple):
    """modes: per sign in space, from zero on in time (torch-cfd's)."""

    n_out: int
    modes: int
    time_modes: int
    width: int
    batch: int

    def __str__(self) -> str:
        return f"10->{self.n_out} modes {self.modes},{self.time_modes} W{self.width} B{self.batch}"


CASES = [Case(*sizes, batch) for batch in (2, 4) for sizes in ((40, 12, 5, 20), (10, 32, 5, 10))]


def ours(case: Case, nodes: int, **options: float) -> SFNO:
    frames = Grid([Axis("time", 10 + case.n_out, STEP * (10 + case.n_out), "left")])
    window = Window(10, case.n_out, history="time").on(frames + Grid.periodic((nodes, nodes)), ("w",), ())
    modes = {"modes": 2 * case.modes, "time_modes": 2 * case.time_modes - 1}
    return SFNO(1, 1, window.grid_in, window.grid_out, width=case.width, **modes, **options)  # type: ignore[arg-type]


def theirs(case: Case, peer: str) -> nn.Module:
    sys.path.insert(0, peer)
    from fno.sfno import SFNO as Peer

    return Peer(case.modes, case.modes, case.time_modes, case.width, output_steps=case.n_out)


def jobs(model: nn.Module, a: Tensor, u: Tensor) -> tuple[Job, Job]:
    """A forward pass and a training step."""
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def forward() -> None:
        with torch.no_grad():
            model(a)

    def step() -> None:
        adam.zero_grad()
        loss = ((model(a) - u).flatten(1).norm(dim=1) / u.flatten(1).norm(dim=1)).mean()
        loss.backward()
        adam.step()

    return forward, step


def measure(case: Case, options: argparse.Namespace) -> None:
    space, device = (options.nodes, options.nodes), options.device
    a, u = (torch.randn(case.batch, 1, frames, *space, device=device) for frames in (10, case.n_out))
    last = [x[:, 0].movedim(1, -1).contiguous() for x in (a, u)]  # time last, no channels
    every: dict[str, Contender] = {}
    if options.peer:
        model = theirs(case, options.peer).to(device)
        every["torch-cfd"] = Contender(model, *jobs(model, *last))
    for name, width in {"**ours**": 1.0, "ours, mlp_ratio=4": 4.0}.items():
        model = ours(case, options.nodes, mlp_ratio=width).to(device)
        every[name] = Contender(model, *jobs(model, a, u))
    rows(case, every, options.repeats, device=device)


def main() -> None:
    options_of = with_device(parser(__doc__, CASES, 7))
    options_of.add_argument("--nodes", type=int, default=64, help="of each axis")
    options = options_of.parse_args()
    skipped = "torch-cfd's side is skipped, and ratios are to our first row"
    for case in begun(options, CASES, skipped, "forward, ms", "step, ms", "forward x", "step x", "step, MiB"):
        measure(case, options)


if __name__ == "__main__":
    main()
