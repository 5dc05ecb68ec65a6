"""Figures that a run leaves as files, for loggers and readmes."""

from __future__ import annotations

from pathlib import Path

from pdeops.report.canvas import save
from pdeops.report.curves import draw_training
from pdeops.report.embedded import styled
from pdeops.report.evaluation import Evaluation
from pdeops.report.runs import Run
from pdeops.report.samples import draw_sample


def save_sample(found: Evaluation, path: Path) -> Path:
    """The median sample: truth, prediction and error."""
    with styled(paper="white") as plt:
        return save(draw_sample(plt, found.shown["median"], found.window), path)


def save_training(run: Run, path: Path) -> Path | None:
    """Losses, validation errors and the learning rate by epoch; None if there is no log of them."""
    curves = run.curves
    if not curves:
        return None
    with styled(paper="white") as plt:
        return save(draw_training(plt, curves, run.by_epoch("train/rate")), path)
