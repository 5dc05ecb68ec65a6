"""The antiderivative study of the DeepONet paper: 10,000 functions, one random place of each, full batches.

    python experiments/deeponet/antiderivative.py [--seed 0] [--iterations 50000] [--rate 3e-3] [--decay cosine]
                                                  [--finish 0] [--threads 1] [--csv FILE]

u: a Gaussian process of correlation length 0.2 on [0, 1], at 100 sensors; s' = u, s(0) = 0 at one uniform y of each u.
Networks [100, 40, 40] and [1, 40, 40], ReLU, 7,401 parameters; Adam, and then --finish iterations of L-BFGS; the mean
square as loss. Every thousand iterations 10,000 fresh pairs are looked at, and the weights that are best there are
tested on 100,000 others. One line of results is printed, and appended to --csv.
Source: Lu et al., Nature Machine Intelligence 3 (2021), whose test error is 9.27e-7.
"""

from __future__ import annotations

import argparse
import copy
import csv
import time
from collections.abc import Callable, Iterator
from itertools import chain
from math import cos, pi
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm import tqdm

from pdeops.bases.differences import interpolation_matrix
from pdeops.models.deeponet import DeepONet
from pdeops.nn import branch, trunk
from pdeops.problems.antiderivative import Antiderivative

AT_A_TIME = 10_000  # functions that are solved or tested together
SCALE = 1e4  # of the loss in L-BFGS
LOWEST = 1e-3  # of the rate, at the end of its decay
DECAYS = {
    "none": lambda done: 1.0,
    "cosine": lambda done: LOWEST + (1 - LOWEST) * (1 + cos(pi * done)) / 2,
    "exponential": lambda done: LOWEST**done,
}


class Pairs(NamedTuple):
    """u (N, 1, sensors), places (N, 1, 1), s there (N, 1, 1)."""

    u: Tensor
    y: Tensor
    s: Tensor


def pairs(problem: Antiderivative, first: int, count: int, seed: int) -> Pairs:
    """Functions first .. first + count - 1, each at a place of its own."""
    generator, nodes, parts = torch.Generator().manual_seed(seed * 1_000_003 + first), problem.grid[0].points(), []
    for start in range(first, first + count, AT_A_TIME):
        a = problem.sample(range(start, min(start + AT_A_TIME, first + count)), seed)
        y = torch.rand(len(a), generator=generator, dtype=torch.float64)
        s = (interpolation_matrix(nodes, y) * problem.solve(a).u[:, 0]).sum(-1)
        parts.append(Pairs(a.float(), y.float().view(-1, 1, 1), s.float().view(-1, 1, 1)))
    return Pairs(*map(torch.cat, zip(*parts, strict=True)))


@torch.no_grad()
def errors(model: DeepONet, data: Pairs) -> Tensor:
    """The squared errors, (N)."""
    parts = zip(*(part.split(AT_A_TIME) for part in data), strict=True)
    return torch.cat([(model(u, y) - s).square().flatten() for u, y, s in parts])


def adam(model: DeepONet, loss: Callable[[], Tensor], options: argparse.Namespace) -> Iterator[tuple[int, float]]:
    """Steps since the last look, and the loss, whenever it is time to look."""
    optimizer = torch.optim.Adam(model.parameters(), options.rate, fused=True)
    decay = DECAYS[options.decay]
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: decay(step / options.iterations))
    for steps in lengths(options.iterations, options.every):
        for _ in range(steps):
            optimizer.zero_grad()
            now = loss()
            now.backward()
            optimizer.step()
            schedule.step()
        yield steps, now.item()


def quasi_newton(
    model: DeepONet, loss: Callable[[], Tensor], options: argparse.Namespace
) -> Iterator[tuple[int, float]]:
    """As `adam`, by L-BFGS; the loss before the steps. It is scaled, since torch leaves out pairs of a curvature below
    1e-10, whatever the scale."""
    how = {"history_size": 50, "line_search_fn": "strong_wolfe", "tolerance_grad": 0, "tolerance_change": 0}
    optimizer = torch.optim.LBFGS(model.parameters(), **how)

    def scaled() -> Tensor:
        optimizer.zero_grad()
        now = SCALE * loss()
        now.backward()
        return now

    for steps in lengths(options.finish, options.every):
        optimizer.param_groups[0].update(max_iter=steps, max_eval=2 * steps)
        yield steps, optimizer.step(scaled).item() / SCALE


def lengths(total: int, every: int) -> Iterator[int]:
    """Of the parts of `total` iterations between looks."""
    for done in range(0, total, every):
        yield min(every, total - done)


def train(options: argparse.Namespace) -> dict[str, object]:
    problem = Antiderivative()
    begun = time.monotonic()
    training, validation = (pairs(problem, first, 10_000, options.seed) for first in (0, 10_000))
    test = pairs(problem, 20_000, options.tests, options.seed)
    generated, begun = time.monotonic() - begun, time.monotonic()
    torch.manual_seed(options.seed)
    nets = {"branch": branch.Dense((40,)), "trunk": trunk.Dense((40,)), "features": 40}
    model = DeepONet(1, 1, problem.grid, problem.grid, **nets)

    def loss() -> Tensor:
        return mse_loss(model(training.u, training.y), training.s)

    done, best, best_at, state = 0, float("inf"), 0, copy.deepcopy(model.state_dict())
    bar = tqdm(total=options.iterations + options.finish, disable=None)
    for steps, now in chain(adam(model, loss, options), quasi_newton(model, loss, options)):
        bar.update(steps)
        done += steps
        found = float(errors(model, validation).mean())
        told = {"train": f"{now:.2e}", "validation": f"{found:.2e}"}
        bar.set_postfix(told)
        if bar.disable:  # not on a terminal: a line instead of the bar
            print(f"{done}/{bar.total} {told} [{time.monotonic() - begun:.0f} s]", flush=True)
        if found < best:
            best, best_at, state = found, done, copy.deepcopy(model.state_dict())
    trained = time.monotonic() - begun
    model.load_state_dict(state)
    squares = errors(model, test).sort().values
    return {
        **{"seed": options.seed, "iterations": options.iterations, "finish": options.finish},
        **{"rate": options.rate, "decay": options.decay},
        "best_at": best_at,
        "train": f"{float(errors(model, training).mean()):.3e}",
        "validation": f"{best:.3e}",
        "test": f"{float(squares.mean()):.3e}",
        "test_without_outliers": f"{float(squares[: round(0.999 * len(squares))].mean()):.3e}",
        **{"generated_s": f"{generated:.0f}", "trained_s": f"{trained:.0f}"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=50_000)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--decay", choices=DECAYS, default="cosine")
    parser.add_argument("--finish", type=int, default=0, help="iterations of L-BFGS after Adam's")
    parser.add_argument("--every", type=int, default=1000, help="iterations between two looks at the validation pairs")
    parser.add_argument("--tests", type=int, default=100_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    row = train(options)
    print(",".join(f"{key}={value}" for key, value in row.items()))
    if options.csv:
        new = not options.csv.exists()
        with options.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == "__main__":
    main()
