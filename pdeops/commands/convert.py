"""`pdeops convert`: data of other projects."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    convert = commands.add_parser("convert", help="neuraloperator .pt, FNO .mat, PDEBench .hdf5 -> native file")
    convert.add_argument("source")
    convert.add_argument("-o", "--out", required=True, metavar="FILE.h5")
    convert.add_argument("--test", metavar="FILE", help="a second file, whose samples become the test split")
    convert.add_argument("--split", type=float, nargs=3, default=(0.8, 0.1, 0.1), metavar=("TRAIN", "VAL", "TEST"))
    convert.add_argument("--nodes", choices=("periodic", "cell", "uniform", "left", "right"), help="where samples sit")
    convert.add_argument("--force", action="store_true", help="replace an existing FILE.h5")
    convert.set_defaults(run=_convert)


def _convert(options: Namespace) -> None:
    from pdeops.data.convert import convert

    settings = {"test": options.test, "split": options.split, "nodes": options.nodes, "overwrite": options.force}
    print(convert(options.source, options.out, **settings))
