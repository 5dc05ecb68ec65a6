"""What other resolutions cost trained surrogates of steady problems, on their own test samples:
python experiments/operators/resolutions.py RUNS [RUNS ...] [--factors 0.5 1 2 4] [--samples 50] [--figure FILE]

The same coefficients and solutions on lattices of --factors times the intervals of the training lattice, from one
solution on the finest lattice of the problem; the relative L2 error on each, the mean over the first --samples of the
test split and the models' seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from collected import Run, grouped
from table import spread
from torch import Tensor

import pdeops
from pdeops.norms import Lp, relative_error
from pdeops.report.canvas import pyplot, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 1.0, 2.0, 4.0])
    parser.add_argument("--samples", type=int, default=50)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    found = grouped(options.runs)
    for experiment in dict.fromkeys(name for name, _ in found):
        models = {model: runs for (name, model), runs in found.items() if name == experiment}
        errors = sweep(next(iter(models.values()))[0], models, options.factors, options.samples)
        if options.figure:
            draw(errors, experiment, options.figure)


def sweep(
    first: Run, models: dict[str, list[Run]], factors: Sequence[float], samples: int
) -> dict[str, dict[int, list[float]]]:
    """Prints a row per lattice; each model's errors by nodes per axis."""
    trained = {model: [pdeops.load(run.folder) for run in runs] for model, runs in models.items()}
    problem: Any = pdeops.load(first.folder).problem
    split = first.config["data"]["split"]
    begin = round(first.config["data"]["n"] * (split[0] + split[1]))
    print(f"| {first.config['name']} | " + " | ".join(models) + " |\n|---|" + "---|" * len(models))
    errors: dict[str, dict[int, list[float]]] = {model: {} for model in models}
    for factor in factors:
        finer = replace(
            problem, n=round((problem.n - 1) * factor) + 1 if problem.nodes == "uniform" else round(problem.n * factor)
        )
        a = finer.sample(range(begin, begin + samples), first.config["data"]["seed"])
        u, norm = finer.solve(a).u, Lp(finer.grid)
        a = finer.stored(a)
        for model, surrogates in trained.items():
            errors[model][finer.n] = [mean_error(s, a, u, norm) for s in surrogates]
        cells = (spread(errors[model][finer.n]) for model in models)
        print(f"| {finer.n} x {finer.n} | {' | '.join(cells)} |", flush=True)
    return errors


def mean_error(surrogate: pdeops.Surrogate, a: Tensor, u: Tensor, norm: Lp) -> float:
    predicted = torch.cat([surrogate.predict(part) for part in a.split(10)])
    return float(relative_error(predicted.to(u), u, norm).mean())


def draw(errors: dict[str, dict[int, list[float]]], title: str, path: Path) -> None:
    figure, ax = pyplot().subplots(figsize=(5, 3.6), layout="constrained")
    for model, by_nodes in errors.items():
        ax.semilogx(list(by_nodes), [sum(values) / len(values) for values in by_nodes.values()], "o-", label=model)
    ax.set(title=title, xlabel="nodes per axis", ylabel="test relative L2")
    ax.set_xticks(list(next(iter(errors.values()))), labels=[str(n) for n in next(iter(errors.values()))], minor=False)
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    ax.grid(alpha=0.3)
    ax.legend()
    save(figure, path)


if __name__ == "__main__":
    main()
