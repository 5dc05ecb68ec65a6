"""Errors and times of finished runs, by experiment and model: python experiments/operators/table.py RUNS [RUNS ...]

RUNS: folders that hold runs of `python train.py -m experiment=... model=... seed=0,1,2`, at any depth. Errors are means
over the test samples, and of several seeds their mean and deviation; seconds are medians over all epochs, of whatever
machine a run had.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from pdeops.app import reported
from pdeops.report.runs import Run, finished, grouped, parameters, spread

COLUMNS = (
    "experiment",
    "model",
    "parameters",
    "test relative L2",
    "test relative H1",
    "seconds per epoch",
    "seeds",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    options = parser.parse_args()
    sys.exit(reported(lambda: table(options.runs)))


def table(folders: Sequence[Path]) -> None:
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for (experiment, model), runs in grouped(finished(folders)).items():
        errors = [spread([run.metrics[f"test/relative_{norm}"] for run in runs]) for norm in ("l2", "h1")]
        size, seeds = f"{parameters(runs[0].surrogate().model):,}", ", ".join(str(run.seed) for run in runs)
        print(f"| {' | '.join((experiment, model, size, *errors, seconds(runs), seeds))} |")


def seconds(runs: Sequence[Run]) -> str:
    """Per epoch, the median of those runs that recorded it."""
    known = [s for run in runs if (s := run.seconds_per_epoch) is not None]
    return f"{statistics.median(known):.3g}" if known else "not recorded"


if __name__ == "__main__":
    main()
