"""`pdeops resolutions`: errors of finished runs by lattice."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    lattices = commands.add_parser("resolutions", help="test errors of finished runs of steady problems by lattice")
    lattices.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, one that holds several, or a source")
    lattices.add_argument(
        "--factors",
        type=float,
        nargs="+",
        default=[0.5, 1.0, 2.0, 4.0],
        metavar="F",
        help="lattices, by intervals relative to the trained one's (default: 0.5 1 2 4)",
    )
    lattices.add_argument("--samples", type=int, default=50, metavar="N", help="of the test split (default: 50)")
    lattices.add_argument("--figure", metavar="FILE", help="draw them: a .png, .svg or .pdf")
    lattices.add_argument("--force", action="store_true", help="replace an existing FILE")
    lattices.set_defaults(run=_resolutions)


def _resolutions(options: Namespace) -> None:
    from pathlib import Path

    from pdeops.report.resolutions import resolutions
    from pdeops.sources.load import named, resolve

    figure = Path(options.figure) if options.figure else None
    folders = [resolve(run) if named(run) else Path(run) for run in options.runs]
    resolutions(folders, options.factors, options.samples, figure, force=options.force)
