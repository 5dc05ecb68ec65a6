"""Validation errors over seconds of training, of runs beside each other.

    python experiments/nsm/curves.py FIGURE.png LABEL=RUN ...

Seconds are of the training steps alone (`train/seconds` of the runs' logs, logger=csv), after each epoch.
"""

from __future__ import annotations

import argparse
import sys
from itertools import accumulate
from pathlib import Path

from pdeops.app import reported
from pdeops.report.canvas import pyplot, save
from pdeops.report.runs import finished

TARGET = 5e-4  # the paper's budget, of Poisson's equation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", type=Path)
    parser.add_argument("runs", nargs="+", metavar="LABEL=RUN")
    options = parser.parse_args()
    figure, ax = pyplot().subplots(figsize=(6.5, 3.8), layout="constrained")
    for label, _, folder in (text.rpartition("=") for text in options.runs):
        (run,) = finished([Path(folder)])
        seconds, errors = (run.by_epoch(name) for name in ("train/seconds", "val/relative_l2"))
        elapsed = list(accumulate(seconds[epoch] for epoch in errors))
        ax.loglog(elapsed, list(errors.values()), "-o", lw=1, ms=4, markevery=[-1], label=label)
        print(f"{label}: {sum(seconds.values()):.0f} s, test error {run.metrics['test/relative_l2']:.2e}")
    ax.axhline(TARGET, color="0.5", ls=":", lw=1)
    ax.set(xlabel="seconds of training", ylabel="relative L2 error, validation")
    ax.grid(True, which="both", alpha=0.3)
    ax.legend()
    print(save(figure, options.figure))


if __name__ == "__main__":
    sys.exit(reported(main))
