"""Darcy surrogates trained at 85 x 85, tested on the same 200 samples at finer nodes of the same 421 x 421 solutions:
python experiments/fno_benchmark/zero_shot.py RUNS [RUNS ...] [--nodes 85 141 211] [--samples 200]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from finished import LABELS, collect, spread

from pdeops.app import reported
from pdeops.norms import Lp, relative_error
from pdeops.problems.darcy import Darcy

FIRST, SEED = 1050, 0  # the test split of conf/experiment/fno_darcy.yaml begins after 1000 + 50 samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--nodes", type=int, nargs="+", default=[85, 141, 211])
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args()
    sys.exit(reported(lambda: table(options)))


def table(options: argparse.Namespace) -> None:
    models = {model: [run.surrogate() for run in runs] for model, runs in collect(options.runs)["fno_darcy"].items()}
    if not models:
        raise SystemExit(f"no finished run of fno_darcy in {', '.join(map(str, options.runs))}")
    problem = next(iter(models.values()))[0].problem
    assert isinstance(problem, Darcy)
    print("| nodes | " + " | ".join(LABELS[m] for m in sorted(models)) + " |\n|---|" + "---|" * len(models))
    for n in options.nodes:
        finer = replace(problem, n=n)
        a = finer.sample(range(FIRST, FIRST + options.samples), SEED)
        u, norm = finer.solve(a).u, Lp(finer.grid)
        a = finer.stored(a)
        cells = []
        for _, surrogates in sorted(models.items()):
            predictions = (torch.cat([s.predict(part) for part in a.split(20)]) for s in surrogates)
            cells.append(spread([float(relative_error(p.to(u), u, norm).mean()) for p in predictions]))
        print(f"| {n} x {n} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
