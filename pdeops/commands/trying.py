"""What `pdeops evaluate`, `report` and `compare` have in common: surrogates, what to try them on, how far."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdeops.report.comparison import Tried
    from pdeops.report.subjects import Subject


def add_options(parser: ArgumentParser, sources: str) -> None:
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help=sources)
    parser.add_argument(
        "--data",
        nargs="+",
        default=[],
        metavar="FILE|KEY=VALUE",
        help="a data file; or a data set, data=NAME ...; or changes of the run's own, such as problem.n=128 (default: "
        "the file that it was trained on)",
    )
    parser.add_argument("--split", default="test", help="train, validation, test or all (default: test)")
    parser.add_argument("--samples", type=int, metavar="N", help="so many of the split, from the first (default: all)")
    parser.add_argument("--steps", type=int, metavar="N", help="frames of rollouts (default: to the last of the file)")


def tried(options: Namespace) -> list[Tried]:
    """Each surrogate that was named, evaluated on the data that were named."""
    from pdeops.data.file import DataFile
    from pdeops.datasets import file_for
    from pdeops.report.subjects import subjects

    chosen = subjects(options.sources)
    file = DataFile(file_for(chosen, options.data))
    return [(subject, evaluated(subject, file, options)) for subject in chosen]


def evaluated(subject: Subject, file: Any, options: Namespace, **others: Any) -> Any:
    """An evaluation as its run's test was made."""
    from pdeops.report.evaluation import evaluate

    data = subject.run.config.get("data", {}) if subject.run else {}
    settings = {"split": options.split, "samples": options.samples, "steps": options.steps, **others}
    return evaluate(
        subject.surrogate, file, windows=data.get("windows"), batch_size=data.get("batch_size", 16), **settings
    )
