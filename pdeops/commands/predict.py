"""`pdeops predict`: a saved surrogate on every sample of a file."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import Any


def add(commands: _SubParsersAction) -> None:
    predict = commands.add_parser("predict", help="predict every sample of a file, larger than memory")
    add_files(predict, "OUT.h5")
    where = predict.add_mutually_exclusive_group()
    where.add_argument("--nodes", type=int, nargs="+", metavar="N", help="of the output, one for all axes or one each")
    where.add_argument("--points", metavar="FILE.npy", help="points (N, d); OUT is then an array (n, channels, N)")
    add_running(predict)
    predict.set_defaults(run=_predict)


def add_files(parser: ArgumentParser, out: str) -> None:
    """The arguments of commands that run a surrogate over a file."""
    parser.add_argument("source", metavar="SOURCE", help="a saved surrogate, as pdeops.load takes it")
    parser.add_argument("inputs", metavar="IN", help="a data file, ours or The Well's, or an array IN.npy")
    parser.add_argument("-o", "--out", required=True, metavar=out, help="a data file, or an array .npy")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="these samples alone")
    parser.add_argument("--batch-size", type=int, metavar="N", help="samples at a time (default: what memory holds)")
    parser.add_argument("--force", action="store_true", help="replace an existing file")


def add_running(parser: ArgumentParser) -> None:
    """The arguments of `inference.running`."""
    parser.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:1 ...")
    parser.add_argument("--precision", choices=("bf16", "32", "64"), default="32")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU (default: all)")
    parser.add_argument("--compile", action="store_true", help="by torch.compile: worth it for many samples")


def how(options: Namespace) -> dict[str, Any]:
    """What was said of them, for `inference.running`."""
    return {key: getattr(options, key) for key in ("device", "precision", "threads", "compile")}


def over(options: Namespace) -> dict[str, Any]:
    """What was said of the files, for `predict_file` and `rollout_file`."""
    return {
        "batch_size": options.batch_size,
        "split": options.split,
        "overwrite": options.force,
        "name": options.source,
    }


def _predict(options: Namespace) -> None:
    import pdeops
    from pdeops.inference.execution import running
    from pdeops.inference.inputs import array
    from pdeops.inference.predict import predict_file

    points = None if options.points is None else array(options.points).copy()
    with running(pdeops.load(options.source), **how(options)) as surrogate:
        out = predict_file(surrogate, options.inputs, options.out, nodes=options.nodes, points=points, **over(options))
    print(out)
