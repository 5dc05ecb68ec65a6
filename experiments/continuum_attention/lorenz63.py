"""A trained operator of functions of time, asked at samplings that it was not trained on.

    python experiments/continuum_attention/lorenz63.py RUN [--samples 200] [--figure FILE.png]

RUN: a run of data=lorenz63, controlled_ode or another ordinary equation. Fresh samples, drawn from another seed, are
solved anew on the lattice of each sampling: distances of 0.005, 0.0075, 0.01, 0.015 and 0.02 (to a whole number of
intervals), distances that double half-way, and times drawn at random for each sample, of a lattice with eight times the
intervals, both ends included. Mean relative L2 errors in physical units, integrated by the trapezoidal rule on the
sampling: of inputs given at its times, and of inputs given on the trained lattice. "-": the model takes no such input.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from pdeops.app import reported
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.points import Points
from pdeops.problems.ode import Ode
from pdeops.report.canvas import literal, pyplot, save
from pdeops.saved import load
from pdeops.surrogate import Surrogate

DISTANCES = (0.005, 0.0075, 0.01, 0.015, 0.02)
FINER, BATCH = 8, 50


class Sampling(NamedTuple):
    """Times t (N,) or (B, N), inputs and solutions there, and the grid, if they are one of the trained axis'."""

    name: str
    t: Tensor
    a: Tensor
    u: Tensor
    grid: Grid | None = None

    def points(self) -> Points:
        return Points(self.t.unsqueeze(-1), trapezoidal(self.t))

    def part(self, rows: slice) -> Sampling:
        return self._replace(a=self.a[rows], u=self.u[rows], t=self.t[rows] if self.t.ndim == 2 else self.t)


def trapezoidal(t: Tensor) -> Tensor:
    half = t.diff() / 2
    ends = torch.zeros_like(half[..., :1])
    return torch.cat([half, ends], -1) + torch.cat([ends, half], -1)


def error(u: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """(B, C) relative L2 errors."""
    w = trapezoidal(t).view(-1, 1, t.shape[-1])
    return ((w * (u - v).square()).sum(-1) / (w * v.square()).sum(-1)).sqrt()


def samplings(problem: Ode, samples: int, seed: int) -> list[Sampling]:
    def solved(n: int) -> tuple[Grid, Tensor, Tensor]:
        finer = replace(problem, n=n)
        a = finer.sample(range(samples), seed)
        return finer.grid, a, finer.solve(a).u

    found, whole = [], problem.n - 1
    for distance in DISTANCES:
        grid, a, u = solved(max(6, round(problem.horizon / distance)) + 1)
        found.append(Sampling(f"every {problem.horizon / grid[0].intervals:.5f}", grid[0].points(), a, u, grid))
    grid, a, u = solved(FINER * whole + 1)
    t = grid[0].points()
    doubling = torch.cat(
        [torch.arange(0, FINER * whole // 2, FINER), torch.arange(FINER * whole // 2, len(t), 2 * FINER)]
    )
    found.append(Sampling("distances that double", t[doubling], a[..., doubling], u[..., doubling]))
    generator = torch.Generator().manual_seed(seed)
    for count in (problem.n, problem.n // 2):
        inner = torch.rand(samples, len(t) - 2, generator=generator).argsort(1)[:, : count - 2] + 1
        ends = torch.tensor([0, len(t) - 1]).expand(samples, -1)
        nodes = torch.cat([inner, ends], 1).sort(1).values
        at = nodes.unsqueeze(1)
        a_, u_ = (x.gather(2, at.expand(-1, x.shape[1], -1)) for x in (a, u))
        found.append(Sampling(f"{count} times at random", t[nodes], a_, u_))
    return found


def given_there(surrogate: Surrogate, here: Sampling, trained: Sampling) -> Tensor:
    a = here.a.float()
    if hasattr(surrogate.model, "at"):
        return surrogate.normalize_out.inverse(surrogate.model.at(surrogate.normalize_in(a), here.points()))
    if here.grid is None:
        raise InputError("takes lattices alone")
    return surrogate(a, here.grid)


def given_trained(surrogate: Surrogate, here: Sampling, trained: Sampling) -> Tensor:
    return surrogate(trained.a.float(), here.t.unsqueeze(-1) if here.grid is None else here.grid)


def tested(
    predict: Callable[[Surrogate, Sampling, Sampling], Tensor], surrogate: Surrogate, here: Sampling, trained: Sampling
) -> float | None:
    errors = []
    try:
        for first in range(0, len(here.a), BATCH):
            rows = slice(first, first + BATCH)
            part = here.part(rows)
            u = predict(surrogate, part, trained.part(rows)).double()
            start = surrogate.problem.start(part.a).expand(*u.shape[:2], 1)  # imposed on grids: here at points as well
            errors.append(error(torch.cat([start, u[..., 1:]], -1), part.u, part.t))
    except InputError:
        return None
    return float(torch.cat(errors).mean())


def draw(
    surrogate: Surrogate, rows: dict[str, list[float | None]], irregular: Sampling, trained: Sampling, path: Path
) -> None:
    figure, (left, right) = pyplot().subplots(1, 2, figsize=(11, 4), layout="constrained")
    for i, (name, mark) in enumerate((("given there", "o-"), ("given on the trained lattice", "s--"))):
        left.plot([float("nan") if r[i] is None else r[i] for r in rows.values()], mark, label=name)
    left.set_xticks(range(len(rows)), list(rows), rotation=40, ha="right", rotation_mode="anchor")
    largest = max(e for r in rows.values() for e in r if e is not None)
    left.set(ylabel="relative L2 error", ylim=(0, 1.1 * largest))
    left.legend()
    one = irregular.part(slice(0, 1))
    right.plot(trained.t, trained.u[0].mT, "k", linewidth=0.8)
    for way in (given_there, given_trained):
        try:
            u = way(surrogate, one, trained.part(slice(0, 1)))
        except InputError:
            continue
        right.plot(one.t[0], u[0].mT, "C1.", markersize=3)
        break
    names = literal(", ".join(surrogate.window.out_names))
    right.set(xlabel="t", title=f"{names} of a sample, and predictions at random times")
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    surrogate = load(options.run)
    problem = surrogate.problem
    if options.samples < 1 or not isinstance(problem, Ode) or surrogate.window.segment is not None:
        parser.error("wanted a run of an ordinary equation on all of its t, and at least one sample")
    seed = json.loads((options.run / "config.json").read_text())["data"]["seed"] + 1
    a = problem.sample(range(options.samples), seed)
    trained = Sampling("trained", problem.grid[0].points(), a, problem.solve(a).u, problem.grid)
    rows: dict[str, list[float | None]] = {}
    head, step = f"{problem.name}, {type(surrogate.model).__name__}", problem.horizon / (problem.n - 1)
    print(f"| {head} | given there | given every {step:.5f} |")
    print("|---|---|---|")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        all_of_them = samplings(problem, options.samples, seed)
        for here in all_of_them:
            rows[here.name] = [tested(way, surrogate, here, trained) for way in (given_there, given_trained)]
            told = " | ".join("-" if e is None else f"{e:.4f}" for e in rows[here.name])
            print(f"| {here.name} | {told} |", flush=True)
        if options.figure:
            draw(surrogate, rows, all_of_them[-2], trained, options.figure)


if __name__ == "__main__":
    sys.exit(reported(main))
