"""`pdeops leaderboard`: finished runs as one table."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    board = commands.add_parser("leaderboard", help="finished runs as one table, the best first, mean over seeds")
    board.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or one that holds several: a sweep's")
    board.set_defaults(run=_leaderboard)


def _leaderboard(options: Namespace) -> None:
    from pathlib import Path

    from pdeops.report.leaderboard import leaderboard
    from pdeops.report.runs import finished

    print(leaderboard(list(finished([Path(run) for run in options.runs]))))
