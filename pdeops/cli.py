"""`pdeops ...`: thin, and quick to start; each command imports what it needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from pdeops import __version__

SURROGATES = ("demo", "zoo", "predict", "rollout", "serve", "evaluate", "report", "compare")
FILES = ("convert", "data", "leaderboard", "resolutions", "ensemble", "calibrate", "export", "cards")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] in (["train"], ["generate"], ["search"]):
        from pdeops import app

        return app.main(arguments[0], arguments[1:])
    options = _parser().parse_args(arguments)
    from pdeops.app import reported

    return reported(lambda: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pdeops", description="Neural-operator surrogates for PDEs.")
    parser.add_argument("--version", action="version", version=f"pdeops {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    commands.add_parser("train", help="train and test: pdeops train model=fno data=ns2d (Hydra overrides)")
    commands.add_parser("search", help="look for the best hyper-parameters: pdeops search model=fno data=ns2d")
    commands.add_parser("generate", help="make a data file: pdeops generate data=ns2d data.n=64 (Hydra overrides)")
    for name in SURROGATES + FILES:
        import_module(f"pdeops.commands.{name}").add(commands)
    return parser
