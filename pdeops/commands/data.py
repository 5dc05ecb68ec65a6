"""`pdeops data`: check, pack and draw data files."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
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


def _check(options: Namespace) -> None:
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


def _pack(options: Namespace) -> None:
    from pdeops.data.pack import pack

    print(pack(options.file, options.out))


def _show(options: Namespace) -> None:
    from pdeops.report.show import show

    samples = options.samples if options.sample is None else options.sample
    settings = {"samples": samples, "field": options.field, "animate": options.animate, "force": options.force}
    print(show(options.file, options.out, **settings))
