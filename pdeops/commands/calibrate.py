"""`pdeops calibrate`: bands that hold the truth with a stated probability."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction


def add(commands: _SubParsersAction) -> None:
    calibrate = commands.add_parser("calibrate", help="give a surrogate bands that hold the truth as often as is said")
    calibrate.add_argument("source", metavar="SOURCE", help="a surrogate or a run")
    calibrate.add_argument("--data", required=True, metavar="FILE.h5", help="samples that training has not seen")
    calibrate.add_argument("--split", default="test", help="of FILE (default: test); the scale is from its validation")
    calibrate.add_argument(
        "--samples", type=int, metavar="N", help="the first N of the split, whose rest tests the bands"
    )
    calibrate.add_argument("--coverage", type=float, default=0.9, metavar="P", help="default: 0.9")
    calibrate.add_argument(
        "--kind",
        choices=("field", "pointwise"),
        default="field",
        help="P that the band holds the whole field (default), or at each node that it holds the value there",
    )
    calibrate.add_argument("--steps", type=int, metavar="N", help="rollouts of N frames, instead of predictions")
    calibrate.add_argument("-o", "--out", required=True, metavar="DIR")
    calibrate.add_argument("--force", action="store_true", help="replace a surrogate in DIR")
    calibrate.set_defaults(run=_calibrate)


def _calibrate(options: Namespace) -> None:
    from pdeops import load
    from pdeops.calibrating import calibrate
    from pdeops.data.file import DataFile
    from pdeops.saved import check_vacant
    from pdeops.uncertainty.conformal import likely_coverage

    check_vacant(options.out, options.force)
    settings = {name: getattr(options, name) for name in ("split", "coverage", "kind", "samples", "steps")}
    found = calibrate(load(options.source), DataFile(options.data), **settings)
    low, high = likely_coverage(found.samples, options.coverage)
    what = "whole fields" if options.kind == "field" else "each node's values"
    print(
        f"bands that hold {what} with probability {options.coverage:g}, by {found.samples} samples of {options.split}; "
        f"scale by {found.others} of validation"
    )
    print(f"of such calibrations nine in ten cover between {low:.3f} and {high:.3f}")
    print(f"mean half-width: {found.width:.3g} of the truth's root mean square")
    if found.tested:
        print(f"of the other {found.tested} samples: {found.covered:.3f} covered")
    print(found.surrogate.save(options.out))
