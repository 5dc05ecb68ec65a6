"""`pdeops list`: the pretrained surrogates in this package."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    zoo = commands.add_parser("list", help="the pretrained surrogates in this package: pdeops.load(NAME)")
    zoo.set_defaults(run=_list)


def _list(options: Namespace) -> None:
    from pdeops.sources.zoo import table

    print(table())
