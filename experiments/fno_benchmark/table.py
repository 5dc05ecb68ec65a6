"""The tables of README.md and its figure: python experiments/fno_benchmark/table.py RUNS [RUNS ...] [--epochs FILE]

RUNS: folders that hold the runs of `python train.py -m experiment=fno_... model=fno,neuralop_fno seed=0,1,2`, at any
depth. --epochs: seconds per epoch as `epochs.py` wrote them; without them there are no times and no figure.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from finished import LABELS, PUBLISHED, collect, reached, spread, validation

from pdeops.app import reported
from pdeops.report.canvas import pyplot, save
from pdeops.report.runs import Run, parameters

Seconds = Mapping[tuple[str, str], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--epochs", type=Path)
    parser.add_argument("--figure", type=Path, default=Path(__file__).parent / "curves.png")
    options = parser.parse_args()
    sys.exit(reported(lambda: report(options)))


def report(options: argparse.Namespace) -> None:
    found, seconds = collect(options.runs), read_seconds(options.epochs)
    problems = [p for p in PUBLISHED if p in found]
    print(*accuracy(problems, found), "", sep="\n")
    both = [p for p in problems if len(found[p]) == 2 and all((p, m) in seconds for m in LABELS)]
    if both:
        print(*time_to_accuracy(both, found, seconds), sep="\n")
        curves(both, found, seconds, options.figure)


def read_seconds(path: Path | None) -> Seconds:
    """Seconds per epoch of each experiment and model."""
    if path is None:
        return {}
    if not path.is_file():
        raise SystemExit(f"there is no file {path}: epochs.py --to {path} writes it")
    with open(path, newline="") as f:
        return {(row["experiment"], row["model"]): float(row["seconds"]) for row in csv.DictReader(f)}


def accuracy(problems: Sequence[str], found: Mapping[str, Mapping[str, list[Run]]]) -> list[str]:
    lines = [
        "| problem | model | parameters | test relative L2 | seeds | the paper's FNO |",
        "|---|---|---|---|---|---|",
    ]
    for problem in problems:
        title, published = PUBLISHED[problem]
        for model, runs in sorted(found[problem].items()):
            errors = spread([run.metrics["test/relative_l2"] for run in runs])
            seeds = ", ".join(str(run.seed) for run in runs)
            size = f"{parameters(runs[0].surrogate().model):,}"
            cells = (title, LABELS[model], size, errors, seeds, f"{published:.4f}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def time_to_accuracy(
    problems: Sequence[str], found: Mapping[str, Mapping[str, list[Run]]], seconds: Seconds
) -> list[str]:
    """Epochs and seconds until the validation error is that of neuraloperator's last epoch, the mean of its seeds."""
    lines = ["| problem | error to reach | model | s per epoch | epochs | seconds |", "|---|---|---|---|---|---|"]
    for problem in problems:
        models = found[problem]
        target = statistics.mean(validation(run)[-1] for run in models["neuralop_fno"])
        for model, runs in sorted(models.items()):
            pace, epochs = seconds[problem, model], [reached(run, target) for run in runs]
            times = "-" if None in epochs else spread([pace * e for e in epochs if e], "{:.0f}")
            shown = ", ".join("never" if e is None else str(e) for e in epochs)
            cells = (PUBLISHED[problem][0], f"{target:.4f}", LABELS[model], f"{pace:.2f}", shown, times)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def curves(problems: Sequence[str], found: Mapping[str, Mapping[str, list[Run]]], seconds: Seconds, path: Path) -> None:
    """Validation error over training time: the mean of the seeds, and the band from the least to the largest."""
    size = (4.2 * len(problems), 3.6)
    figure, axes = pyplot().subplots(1, len(problems), figsize=size, squeeze=False, layout="constrained")
    for ax, problem in zip(axes[0], problems, strict=True):
        for colour, (model, runs) in zip(("C0", "C1"), sorted(found[problem].items()), strict=True):
            columns = list(zip(*(validation(run) for run in runs), strict=True))
            times = [seconds[problem, model] * (i + 1) for i in range(len(columns))]
            ax.semilogy(times, [statistics.mean(c) for c in columns], colour, label=LABELS[model])
            ax.fill_between(times, [min(c) for c in columns], [max(c) for c in columns], color=colour, alpha=0.2)
        ax.set(title=PUBLISHED[problem][0], xlabel="seconds of training")
        ax.grid(alpha=0.3, which="both")
    axes[0, 0].set_ylabel("validation relative L2")
    axes[0, 0].legend()
    save(figure, path)


if __name__ == "__main__":
    main()
