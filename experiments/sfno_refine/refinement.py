"""Refinements of predictions and of frozen states, judged by exact or finer solutions, beside the serial solver.

    python experiments/sfno_refine/refinement.py ns2d --ckpt RUN [--samples 8] [--rows FILE.csv]
    python experiments/sfno_refine/refinement.py taylor_green | mcwilliams [--samples 8] [--rows FILE.csv]

ns2d: RUN is that of `python train.py experiment=sfno_ns2d` (or of another surrogate of an evolution): the first
window of its test trajectories, from the prediction and from the last known frame, frozen. taylor_green: vortices on
64 x 64 with their exact solution, 40 frames over 8 units of time, one known. mcwilliams: decaying turbulence at 64 x
64, solved on that lattice, ten frames known, ten to find, 0.055 apart. These two start from frozen frames.

Methods: "newton", to an estimated error of 1e-6; "finetune", 50 and 100 evaluations of the accumulated mild residual in
L2; "published", the same of the strong residual in H^-1. Medians over the samples; residuals are in L2(H^-1), their
time derivative by sixth-order differences; "serial": the problem's own stepper at tolerance 1e-6, one sample at a time.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor

import pdeops
from pdeops import training
from pdeops.app import reported
from pdeops.grid import Axis, Grid
from pdeops.metrics.residual import residual_norm
from pdeops.norms import Sobolev
from pdeops.problems.evolution import Evolution
from pdeops.problems.inputs import McWilliams, TaylorGreen
from pdeops.problems.ns2d import NavierStokes2D
from pdeops.refinement.finetune import finetune
from pdeops.refinement.newton import newton_krylov
from pdeops.refinement.refined import Refined, judged

sys.path.append(str(Path(__file__).resolve().parents[1] / "fno_benchmark"))
from setting import configuration

TOL = 1e-6
QUANTITIES = ("L2", "H1", "estimate", "residual")


class Case(NamedTuple):
    """A trajectory's problem and inputs (1, C_in, *space), its grid, how many frames are known, the exact others, and
    starts (1, C, T, *space) by name."""

    problem: Evolution
    a: Tensor
    grid: Grid
    known: int
    exact: Tensor
    starts: dict[str, Tensor]


Method = Callable[[Case, Tensor], Refined]


def tuned(objective: str, iterations: int) -> Method:
    def run(case: Case, u: Tensor) -> Refined:
        how = {"objective": objective, "iterations": iterations, "modes": min(17, u.shape[2] - case.known)}
        return finetune(case.problem, case.a, u, case.grid, case.known, tol=TOL, **how)

    return run


METHODS: dict[str, Method] = {
    "newton": lambda case, u: newton_krylov(case.problem, case.a, u, case.grid, case.known, tol=TOL),
    "finetune 50": tuned("mild", 50),
    "finetune 100": tuned("mild", 100),
    "published 50": tuned("residual", 50),
    "published 100": tuned("residual", 100),
}


def frozen(u: Tensor, known: int) -> Tensor:
    return torch.cat([u[:, :, :known], u[:, :, known - 1 : known].expand_as(u[:, :, known:])], dim=2)


def solved(problem: Evolution, a: Tensor, u: Tensor, grid: Grid, known: int, tol: float) -> tuple[Tensor, float]:
    """The frames that follow the known ones, by the serial solver, and its seconds."""
    problem = replace(problem, solver=replace(problem.solver, dt="auto", tolerance=tol))
    start = time.perf_counter()
    path, _ = problem.flow(a, u[:, :, known - 1], grid[0].points()[known - 1 :])
    return path[:, :, 1:], time.perf_counter() - start


def predictions(ckpt: str, samples: int) -> Iterator[Case]:
    surrogate = pdeops.load(ckpt)
    data = training.data_module(configuration("experiment=sfno_ns2d"))
    data.open()
    fields, window = data.fields("test"), surrogate.window
    for i in range(min(samples, len(fields.samples))):
        a = window.make_input(fields.frames([i], [0], window.n_in, window.stride), fields.inputs([i]))
        inputs, u, grid, known = surrogate.trajectories(a, None)
        exact, _ = solved(surrogate.problem, inputs, u, grid, known, 1e-9)
        yield Case(surrogate.problem, inputs, grid, known, exact, {"prediction": u, "frozen": frozen(u, known)})


def taylor_green(samples: int) -> Iterator[Case]:
    problem = NavierStokes2D(
        n=64, length=2 * torch.pi, horizon=8.0, frames=40, viscosity=1e-2, forcing=None, initial=TaylorGreen()
    )
    a = problem.sample(range(samples), 0)
    times = problem.grid[0].points().view(1, 1, -1, 1, 1)
    for i in range(samples):
        w = a[i : i + 1]
        k2 = -(torch.fft.fft2(w).abs().square() * _k2(64)).sum() / torch.fft.fft2(w).abs().square().sum()
        u = w.unsqueeze(2) * torch.exp(problem.viscosity * k2 * times)
        yield Case(problem, w, problem.grid, 1, u[:, :, 1:], {"frozen": frozen(u, 1)})


def _k2(n: int) -> Tensor:
    k = torch.fft.fftfreq(n, 1 / n, dtype=torch.float64)
    return k[:, None] ** 2 + k**2


def mcwilliams(samples: int) -> Iterator[Case]:
    problem = NavierStokes2D(
        n=64,
        length=2 * torch.pi,
        start=4.5,
        horizon=4.5 + 19 * 0.055,
        frames=19,
        forcing=None,
        initial=McWilliams(peak=4.0),
    )
    problem = replace(problem, solver=replace(problem.solver, tolerance=1e-9))
    grid = Grid((Axis("time", 20, 19 * 0.055, "uniform"), *problem.grid.space))
    for i in range(samples):
        a = problem.sample([i], 0)
        u = problem.solve(a).u
        yield Case(problem, a, grid, 10, u[:, :, 10:], {"frozen": frozen(u, 10)})


def state(case: Case, u: Tensor) -> list[float]:
    """`QUANTITIES` of a trajectory."""
    error, h1 = u[:, :, case.known :] - case.exact, Sobolev(case.grid.space, 1)
    slope = (h1(error).square().sum() / h1(case.exact).square().sum()).sqrt()
    estimate = judged(case.problem, case.a, u, case.grid, case.known, TOL).error
    residual = residual_norm(case.problem, case.a, u, case.grid).amax()
    return [float(error.norm() / case.exact.norm()), float(slope), float(estimate), float(residual)]


def rows(cases: Iterator[Case]) -> Iterator[list[str | float]]:
    for i, case in enumerate(cases):
        print(f"sample {i}", file=sys.stderr, flush=True)
        first = next(iter(case.starts.values()))
        serial, serial_seconds = solved(case.problem, case.a, first, case.grid, case.known, TOL)
        serial_error = float((serial - case.exact).norm() / case.exact.norm())
        for start, u in case.starts.items():
            before = state(case, u)
            for name, method in METHODS.items():
                begin = time.perf_counter()
                found = method(case, u)
                seconds = time.perf_counter() - begin
                after = state(case, found.u)
                yield [
                    i, start, name, *before, *after, int(found.iterations), seconds, serial_error, serial_seconds,
                ]  # fmt: skip


def run(options: argparse.Namespace) -> None:
    makers = {"taylor_green": taylor_green, "mcwilliams": mcwilliams}
    cases = (
        predictions(options.ckpt, options.samples) if options.case == "ns2d" else makers[options.case](options.samples)
    )
    found = list(rows(cases))
    header = ["sample", "start", "method", *(f"{q} before" for q in QUANTITIES), *(f"{q} after" for q in QUANTITIES)]
    header += ["iterations", "seconds", "serial L2", "serial seconds"]
    if options.rows:
        with open(options.rows, "w", newline="") as f:
            csv.writer(f).writerows([header, *found])
    table = []
    for key in dict.fromkeys((row[1], row[2]) for row in found):
        group = [row for row in found if (row[1], row[2]) == key]
        middle = [median(row[j] for row in group) for j in range(3, len(header))]
        gain = median(row[3] / row[7] for row in group)
        table.append([*key, *(f"{x:.2g}" for x in middle[:8]), f"{gain:.3g}", *(f"{x:.3g}" for x in middle[8:])])
    table = [[*header[1:11], "gain in L2", *header[11:]], ["---"] * len(table[0]), *table]
    print("\n".join(f"| {' | '.join(row)} |" for row in table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("ns2d", "taylor_green", "mcwilliams"))
    parser.add_argument("--ckpt", help="ns2d: the run, or the surrogate's folder")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--rows", help="write every sample's row here")
    options = parser.parse_args()
    if options.case == "ns2d" and not options.ckpt:
        parser.error("ns2d needs --ckpt RUN")
    sys.exit(reported(lambda: run(options)))
