"""`pdeops ...`: thin, and quick to start; each command imports what it needs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pdeops import __version__


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

    convert = commands.add_parser("convert", help="neuraloperator .pt, FNO .mat, PDEBench .hdf5 -> native file")
    convert.add_argument("source")
    convert.add_argument("-o", "--out", required=True, metavar="FILE.h5")
    convert.add_argument("--test", metavar="FILE", help="a second file, whose samples become the test split")
    convert.add_argument("--split", type=float, nargs=3, default=(0.8, 0.1, 0.1), metavar=("TRAIN", "VAL", "TEST"))
    convert.add_argument("--nodes", choices=("periodic", "cell", "uniform", "left", "right"), help="where samples sit")
    convert.add_argument("--force", action="store_true", help="replace an existing FILE.h5")
    convert.set_defaults(run=_convert)

    data = commands.add_parser("data", help="data files").add_subparsers(metavar="COMMAND", required=True)
    check = data.add_parser("check", help="check a file's layout and values")
    check.add_argument("file")
    check.set_defaults(run=_check)
    pack = data.add_parser("pack", help="make a virtual file and its shards one file")
    pack.add_argument("file")
    pack.add_argument("-o", "--out", metavar="FILE.h5", help="a new file; the virtual one and its shards then stay")
    pack.set_defaults(run=_pack)
    show = data.add_parser("show", help="draw samples, spectra and energy budgets, as a page or an animation")
    show.add_argument("file")
    show.add_argument("-o", "--out", metavar="FIGURE", help="a .png, .gif or .mp4 (default: FILE's name with .png)")
    which = show.add_mutually_exclusive_group()
    which.add_argument("--samples", type=int, metavar="N", help="how many, from the first (default: up to 3)")
    which.add_argument("--sample", type=int, nargs="+", metavar="I", help="which: --sample 0 7")
    show.add_argument("--field", metavar="NAME", help="this field alone")
    show.add_argument("--animate", action="store_true", help="a .gif of the samples through time")
    show.add_argument("--force", action="store_true", help="replace an existing FIGURE")
    show.set_defaults(run=_show)

    board = commands.add_parser("leaderboard", help="finished runs as one table, the best first, mean over seeds")
    board.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or one that holds several: a sweep's")
    board.set_defaults(run=_leaderboard)

    lattices = commands.add_parser("resolutions", help="test errors of finished runs of steady problems by lattice")
    lattices.add_argument("runs", nargs="+", metavar="RUN", help="a run's folder, or one that holds several")
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
    return parser


def _convert(options: argparse.Namespace) -> None:
    from pdeops.data.convert import convert

    settings = {"test": options.test, "split": options.split, "nodes": options.nodes, "overwrite": options.force}
    print(convert(options.source, options.out, **settings))


def _check(options: argparse.Namespace) -> None:
    from pdeops.data.check import check_file
    from pdeops.data.file import DataFile
    from pdeops.errors import InputError

    faults = check_file(options.file)
    if faults:
        raise InputError(f"{options.file}: " + "\n  ".join([f"{len(faults)} faults", *faults]))
    file = DataFile(options.file)
    sizes = ", ".join(f"{len(v)} {k}" for k, v in file.split.items())
    print(f"{options.file}: good. {file.spec.name}, {file.n} samples ({sizes}) on {file.spec.grid}")
    print(f"inputs: {', '.join(file.inputs) or 'none but the history'}; targets: {', '.join(file.targets)}")


def _pack(options: argparse.Namespace) -> None:
    from pdeops.data.pack import pack

    print(pack(options.file, options.out))


def _show(options: argparse.Namespace) -> None:
    from pdeops.report.show import show

    samples = options.samples if options.sample is None else options.sample
    settings = {"samples": samples, "field": options.field, "animate": options.animate, "force": options.force}
    print(show(options.file, options.out, **settings))


def _leaderboard(options: argparse.Namespace) -> None:
    from pathlib import Path

    from pdeops.report.leaderboard import leaderboard
    from pdeops.report.runs import finished

    print(leaderboard(list(finished([Path(run) for run in options.runs]))))


def _resolutions(options: argparse.Namespace) -> None:
    from pathlib import Path

    from pdeops.report.resolutions import resolutions

    figure = Path(options.figure) if options.figure else None
    resolutions([Path(run) for run in options.runs], options.factors, options.samples, figure, force=options.force)
