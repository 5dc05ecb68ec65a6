"""`pdeops evaluate`: the metric panel of surrogates on any data."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction

from pdeops.commands.trying import add_options, tried


def add(commands: _SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="the metric panel of surrogates on any data, side by side")
    add_options(evaluate, "surrogates: runs, folders that hold several, or names that pdeops.load takes")
    evaluate.add_argument("--json", metavar="FILE", help="also write the numbers, sample by sample")
    evaluate.set_defaults(run=_evaluate)


def _evaluate(options: Namespace) -> None:
    from pdeops.report.numbers import panel_table, write_json

    found = tried(options)
    print(panel_table(found))
    if options.json:
        print(write_json(found, options.json))
