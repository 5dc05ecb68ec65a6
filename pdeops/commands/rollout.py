"""`pdeops rollout`: a saved surrogate's trajectories from every sample of a file."""

from __future__ import annotations

from argparse import Namespace, _SubParsersAction

from pdeops.commands.predict import add_files, add_running, how, over


def add(commands: _SubParsersAction) -> None:
    rollout = commands.add_parser("rollout", help="trajectories of any length from every sample of a file")
    add_files(rollout, "OUT.h5")
    rollout.add_argument("--steps", type=int, metavar="N", help="frames; of driven systems segments (default: all)")
    rollout.add_argument("--every", type=int, default=1, metavar="K", help="keep each K-th frame (default: all)")
    add_running(rollout)
    rollout.set_defaults(run=_rollout)


def _rollout(options: Namespace) -> None:
    import pdeops
    from pdeops.errors import InputError
    from pdeops.inference.execution import running
    from pdeops.inference.rollout import rollout_file

    with running(pdeops.load(options.source), **how(options)) as surrogate:
        rolled = rollout_file(
            surrogate, options.inputs, options.out, steps=options.steps, every=options.every, **over(options)
        )
    print(f"{rolled.path}: {rolled.frames} frames of each sample")
    if rolled.stopped:
        raise InputError(rolled.stopped)
