"""`pdeops report`: one surrogate on one data set, as a page."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction

from pdeops.commands.trying import add_options, tried


def add(commands: _SubParsersAction) -> None:
    report = commands.add_parser("report", help="a surrogate on any data, as one HTML file")
    add_options(report, "a run's folder, or anything else that pdeops.load takes")
    report.add_argument("-o", "--out", default="report.html", metavar="FILE", help="default: report.html")
    report.add_argument(
        "--factors",
        type=float,
        nargs="+",
        metavar="F",
        help="also errors on other lattices, of a run of a steady problem: by intervals, such as 0.5 1 2",
    )
    report.add_argument("--force", action="store_true", help="replace an existing FILE")
    report.set_defaults(run=_report)


def _report(options: Namespace) -> None:
    from pathlib import Path

    from pdeops.errors import InputError
    from pdeops.files import check_free
    from pdeops.report.report import write_report
    from pdeops.report.resolutions import prepare, rows

    check_free(Path(options.out), options.force)
    found = tried(options)
    if len(found) > 1:
        raise InputError(f"{len(found)} surrogates; a report is of one. Several side by side: pdeops compare")
    (subject, evaluation), lattices = found[0], None
    if options.factors:
        if subject.run is None:
            raise InputError(f"--factors needs a run, whose samples are known; {subject.name} is none")
        count = len(evaluation.samples)
        sweep = prepare(subject.run.experiment, {subject.model: [subject.run]}, options.factors, count)
        lattices = (sweep, list(rows(sweep)))
    print(write_report(subject, evaluation, options.out, lattices=lattices, overwrite=options.force))
