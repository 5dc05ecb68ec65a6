"""Samples per second of reference solutions, error estimate included: Navier-Stokes at several sizes.

    python experiments/bench/generation.py [--device cuda] [--sizes 64 256 1024] [--horizon 1.0]

With a GPU both it and this machine's CPU are timed, at equal tolerance, and the solutions compared. A batch as large as
the device steps at once, up to `--most`; the median of three.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import torch
from torch import Tensor

from pdeops.problems.inputs import Matern
from pdeops.problems.ns2d import NavierStokes2D

FIELD = Matern(variance=7**1.5, tau=7.0, alpha=2.5, amplitude=6.0861)


def rate(problem: NavierStokes2D, a: Tensor) -> tuple[float, Tensor]:
    """Samples per second, and the solutions."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        u = problem.solve(a).u
        if a.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return len(a) / statistics.median(seconds), u.cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sizes", type=int, nargs="+", default=(64, 256, 1024))
    parser.add_argument("--horizon", type=float, default=1.0)
    parser.add_argument("--most", type=int, default=256, help="samples at once on a GPU")
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    if options.device != "cpu":
        print(torch.cuda.get_device_name(options.device))
    for n in options.sizes:
        problem = NavierStokes2D(n=n, horizon=options.horizon, frames=2, initial=FIELD)
        few = problem.sample(range(max(1, min(4, problem.chunk(torch.empty(1, 1, n, n))))), 0)
        slow, reference = rate(problem, few)
        row = f"{n:>5}^2   cpu {slow:.3g} samples/s"
        if options.device != "cpu":
            count = min(options.most, problem.chunk(torch.empty(1, 1, n, n, device=options.device)))
            fast, u = rate(problem, problem.sample(range(max(count, len(few))), 0).to(options.device))
            gap = float((u[: len(few)] - reference).norm() / reference.norm())
            row += f", {options.device} {fast:.3g} samples/s: {fast / slow:.1f} times; difference {gap:.1e}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
