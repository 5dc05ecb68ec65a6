"""`pdeops export`: a saved surrogate as a program that runs without pdeops."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    export = commands.add_parser("export", help="a program that runs without pdeops: ONNX, torch.export, AOTInductor")
    export.add_argument("source", metavar="SOURCE", help="a saved surrogate, as pdeops.load takes it")
    export.add_argument("-o", "--out", required=True, metavar="FILE", help="FILE.onnx, FILE.pt2 or FILE.aoti.pt2")
    where = export.add_mutually_exclusive_group()
    where.add_argument("--nodes", type=int, nargs="+", metavar="N", help="of the input (default: those of training)")
    where.add_argument("--any-nodes", action="store_true", help="of any number of nodes, where the model can")
    export.add_argument("--force", action="store_true", help="replace an existing FILE")
    export.set_defaults(run=_export)


def _export(options: Namespace) -> None:
    import pdeops
    from pdeops.inference.programs import BATCHES, export

    settings = {"nodes": options.nodes, "any_nodes": options.any_nodes, "overwrite": options.force}
    made = export(pdeops.load(options.source), options.out, **settings)
    shapes = " -> ".join(str(made.description[key]) for key in ("input_shape", "output_shape"))
    print(f"{made.path}: {shapes}; differs by {made.difference:.1e} of the largest value on batches of {BATCHES}")
