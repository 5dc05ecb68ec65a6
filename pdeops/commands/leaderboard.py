"""`pdeops leaderboard`: finished runs as one table."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    board = commands.add_parser("leaderboard", help="finished runs as one table, the best first, mean over seeds")
    board.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or one that holds several: a sweep's")
    board.add_argument("--csv", action="store_true", help="separated by commas, for other programs")
    board.add_argument("--html", metavar="FILE", help="also write a page of it, sorted by any column")
    board.set_defaults(run=_leaderboard)


def _leaderboard(options: Namespace) -> None:
    from pathlib import Path

    from pdeops.report.leaderboard import leaderboard, leaderboard_csv, standings, write_leaderboard
    from pdeops.report.runs import finished
    from pdeops.report.tables import aligned

    found = standings(list(finished([Path(run) for run in options.runs])))
    if options.csv:
        print(leaderboard_csv(found), end="")
    else:
        print(aligned(leaderboard(found)))
    if options.html:
        write_leaderboard(leaderboard(found), options.html)
