"""`pdeops compare`: surrogates side by side on one data set, as a page."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction

from pdeops.commands.trying import add_options, evaluated, tried


def add(commands: _SubParsersAction) -> None:
    compare = commands.add_parser("compare", help="surrogates side by side on the same data, as one HTML file")
    add_options(compare, "surrogates: runs, folders that hold several, or names that pdeops.load takes")
    compare.add_argument("-o", "--out", default="compare.html", metavar="FILE", help="default: compare.html")
    compare.add_argument("--force", action="store_true", help="replace an existing FILE")
    compare.set_defaults(run=_compare)


def _compare(options: Namespace) -> None:
    from pathlib import Path

    from pdeops.files import check_free
    from pdeops.report.comparison import entries, write_comparison

    check_free(Path(options.out), options.force)
    found = tried(options)
    file = found[0][1].file
    compared = entries(found, lambda subject, i: evaluated(subject, file, options, samples=[i]).shown["median"])
    print(write_comparison(compared, options.out, overwrite=options.force))
