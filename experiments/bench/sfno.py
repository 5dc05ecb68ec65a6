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
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parent / "fno"))
from common import Job, header, peak_bytes, row, settle
from timing import Timing, timings

from pdeops.grid import Axis, Grid
from pdeops.memory import keep_freed
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
    every: dict[str, tuple[nn.Module, Callable[[], tuple[Job, Job]]]] = {}
    if options.peer:
        model = theirs(case, options.peer).to(device)
        every["torch-cfd"] = model, jobs(model, *last)
    for name, ratio in {"**ours**": 1.0, "ours, mlp_ratio=4": 4.0}.items():
        model = ours(case, options.nodes, mlp_ratio=ratio).to(device)
        every[name] = model, jobs(model, a, u)
    for _, (_, step) in every.values():
        step()  # Adam's state is made
    memory = [peak_bytes(step, device) for _, (_, step) in every.values()]
    times = timings(options.repeats, *(job for _, pair in every.values() for job in pair), settle=settle(device))
    for i, (name, (model, _)) in enumerate(every.items()):
        forward, step = times[2 * i : 2 * i + 2]
        count = sum(p.numel() for p in model.parameters())
        ratios = [compared(reference, own) for reference, own in zip(times[:2], (forward, step), strict=True)]
        told = f"{1e3 * forward.median:.4g}", f"{1e3 * step.median:.4g}"
        row(case, name, f"{count:,}", *told, *ratios, f"{memory[i] / 2**20:.0f}")


def compared(theirs: Timing, mine: Timing) -> str:
    return " / ".join(f"{a / b:.2f}" for a, b in zip(theirs, mine, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"parts of names; all without any: {'; '.join(map(str, CASES))}")
    parser.add_argument("--peer")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--nodes", type=int, default=64, help="of each axis")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU that torch can use")
    torch.set_num_threads(options.threads)
    keep_freed()
    if not options.peer:
        print("no --peer: torch-cfd's side is skipped, and ratios are to our first row")
    header("case", "model", "parameters", "forward, ms", "step, ms", "forward x", "step x", "step, MiB")
    for case in CASES:
        if not options.cases or any(part in str(case) for part in options.cases):
            measure(case, options)


if __name__ == "__main__":
    main()
