"""`pdeops ensemble`: several trained surrogates as one."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    ensemble = commands.add_parser(
        "ensemble", help="surrogates of several seeds as one, whose deviation tells of errors"
    )
    ensemble.add_argument("sources", nargs="+", metavar="SOURCE", help="a surrogate or a run, or a folder of several")
    ensemble.add_argument("-o", "--out", required=True, metavar="DIR")
    ensemble.add_argument("--force", action="store_true", help="replace a surrogate in DIR")
    ensemble.set_defaults(run=_ensemble)


def _ensemble(options: Namespace) -> None:
    from pdeops.ensembling import ensemble
    from pdeops.saved import check_vacant

    check_vacant(options.out, options.force)
    surrogate = ensemble(options.sources)
    print(f"an ensemble of {len(surrogate.members)}: {surrogate.save(options.out)}")
