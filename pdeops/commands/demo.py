"""`pdeops demo`: data, training, a test table, a figure and a surrogate, in a minute or two."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    demo = commands.add_parser("demo", help="generate data, train on them, test and draw, in about two minutes")
    demo.add_argument(
        "words", nargs="*", metavar="KEY=VALUE", help="as of pdeops train, of which this is experiment=demo"
    )
    demo.set_defaults(run=_demo)


def _demo(options: Namespace) -> int:
    from pdeops import app

    return app.main("train", ["experiment=demo", *options.words])
