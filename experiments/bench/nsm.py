"""The NSM beside its published formulation: a training step at equal widths, and inference with its evaluation apart.

    python experiments/bench/nsm.py

Poisson's equation between walls, 31 x 31 nodes, width 32, depth 4, all modes, dense weights, one thread. A step:
forward, the residual in H^-2 on 31 x 31 nodes in double precision, backward, Adam. Medians, the jobs taking turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import torch
from timing import medians, ratio, timings
from torch import Tensor, nn

from pdeops.losses.residual import Residual
from pdeops.memory import keep_freed
from pdeops.models.nsm import NSM
from pdeops.models.nsm_published import NSMPublished
from pdeops.nn.on_lattice import output
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.window import Batch, Window

N, WIDTH, DEPTH = 31, 32, 4


def models(problem: SpectralPoisson) -> tuple[NSM, NSMPublished]:
    """Ours with all modes of 31 nodes between walls, and theirs with all of theirs."""
    sizes = (1, 1, problem.grid, problem.grid)
    ours = NSM(
        *sizes, width=WIDTH, depth=DEPTH, nodes=N, modes=N - 2, lifting_ratio=4, projection_ratio=4, oversampling=1
    )
    return ours, NSMPublished(*sizes, width=WIDTH, depth=DEPTH, modes=N)


def step(model: nn.Module, problem: SpectralPoisson, a: Tensor) -> Callable[[], object]:
    window = Window().on(problem.grid, ("u",), ("source",))
    loss = Residual(window, problem=problem, s=-2, alpha=0, collocation=model.collocation)  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    batch = Batch(a, out=loss.collocation)

    def run() -> None:
        optimiser.zero_grad()
        loss(model(a, batch.out), batch).backward()
        optimiser.step()

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    keep_freed()
    problem = SpectralPoisson(n=N, nodes="chebyshev", source=GaussianProcess())
    for batch in (8, 16):
        a = problem.sample(range(batch), 0).float()
        ours, theirs = models(problem)
        steps = timings(repeats, step(theirs, problem, a), step(ours, problem, a))
        with torch.no_grad():
            forward = timings(repeats, lambda: theirs(a), lambda: ours(a))  # noqa: B023
        for name, (published, mine) in (("training step", steps), ("forward", forward)):
            print(
                f"batch {batch:2d}, {name}: published {1e3 * published.median:6.1f} ms, "
                f"ours {1e3 * mine.median:6.1f} ms, ratio {ratio(published, mine)} (median / least / processor time)"
            )
    ours, _ = models(problem)
    a = problem.sample([0], 0).float()
    with torch.no_grad():
        c = ours.coefficients(a)
        for n in (32, 64, 128, 256, 512):
            grid = problem.grid.resized((n, n))
            network, evaluation = medians(repeats, lambda: ours.coefficients(a), lambda: output(ours, c, a, grid))  # noqa: B023
            solver = medians(repeats, lambda: problem.solve(a.double()))[0]
            print(
                f"one sample on {n:3d} x {n:3d}: coefficients {1e3 * network:5.2f} ms, "
                f"evaluation {1e3 * evaluation:5.2f} ms; spectral solver on {N} x {N} {1e3 * solver:5.2f} ms"
            )


if __name__ == "__main__":
    sys.exit(main())
