"""Test errors of finished runs, by experiment and model: python experiments/operators/table.py RUNS [RUNS ...]

RUNS: folders that hold runs of `python train.py -m experiment=... model=... seed=0,1,2`, at any depth. Errors are means
over the test samples, and of several seeds their mean and deviation.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from collected import Run, grouped

import pdeops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    print(
        "| experiment | model | parameters | test relative L2 | test relative H1 | seeds |\n|---|---|---|---|---|---|"
    )
    for (experiment, model), runs in grouped(options.runs).items():
        errors = [spread([run.metrics[f"test/relative_{norm}"] for run in runs]) for norm in ("l2", "h1")]
        seeds = ", ".join(str(run.config["seed"]) for run in runs)
        print(f"| {experiment} | {model} | {parameters(runs[0]):,} | {' | '.join(errors)} | {seeds} |")


def parameters(run: Run) -> int:
    """Real numbers that the model learns."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in pdeops.load(run.folder).model.parameters())


def spread(values: list[float]) -> str:
    mean = f"{statistics.mean(values):.4f}"
    return f"{mean} +- {statistics.stdev(values):.4f}" if len(values) > 1 else mean


if __name__ == "__main__":
    main()
