"""Seconds per epoch of our FNO and of neuraloperator's, loader, trainer and validation included, in turns, in one
process:
python experiments/fno_benchmark/epochs.py [EXPERIMENT ...] [--device cpu] [--turns 3] [--batches 10] [--to FILE]

Of an epoch --batches training batches are run, and stand for all; validation is run in full. Medians of --turns, after
a first one that does not count.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from finished import LABELS, PUBLISHED
from setting import configuration, prepared, trainer

from pdeops.training import quiet


class Clock(L.Callback):
    """Seconds of the training batches and of the validation of one epoch."""

    training = validation = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self._start = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        now = time.perf_counter()
        self.training, self._start = now - self._start, now

    def on_validation_end(self, *_: Any) -> None:
        self.validation = time.perf_counter() - self._start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help=f"of {', '.join(PUBLISHED)}; default: all")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--to", type=Path)
    options = parser.parse_args()
    unknown = [name for name in options.experiments if name not in PUBLISHED]
    if unknown:
        parser.error(f"no experiment {unknown[0]!r}; there are {', '.join(PUBLISHED)}")
    quiet()
    rows = []
    for experiment in options.experiments or PUBLISHED:
        sides = [prepared(configuration(f"experiment={experiment}", f"model={model}")) for model in LABELS]
        times: list[list[float]] = [[] for _ in sides]
        for _ in range(1 + options.turns):
            for (task, data), record in zip(sides, times, strict=True):
                record.append(epoch(task, data, options.batches, options.device))
        seconds = [statistics.median(record[1:]) for record in times]
        rows += [(experiment, model, f"{s:.3f}") for model, s in zip(LABELS, seconds, strict=True)]
        shown = ", ".join(f"{label} {s:.2f} s" for label, s in zip(LABELS.values(), seconds, strict=True))
        print(
            f"{experiment}: {shown} an epoch, ratio {seconds[1] / seconds[0]:.2f} ({torch.get_num_threads()} threads)",
            flush=True,
        )
    if options.to:
        with open(options.to, "w", newline="") as f:
            csv.writer(f).writerows([("experiment", "model", "seconds"), *rows])


def epoch(task: L.LightningModule, data: Any, batches: int, device: str) -> float:
    clock = Clock()
    trainer(1, clock, limit_train_batches=batches, accelerator=device).fit(task, data)
    whole = -(-len(data.fields("train").samples) // data.batch_size)
    return clock.training * whole / min(batches, whole) + clock.validation


if __name__ == "__main__":
    main()
