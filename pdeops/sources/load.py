"""`pdeops.load`: a surrogate by the name of where it is."""

from __future__ import annotations

import sys
from pathlib import Path

from pdeops import saved
from pdeops.errors import InputError, did_you_mean
from pdeops.sources import artifacts, hub, zoo
from pdeops.surrogate import Surrogate

FETCHED = {"zoo": zoo.folder, "hub": hub.fetch, "wandb": artifacts.fetch}


def load(source: str | Path) -> Surrogate:
    """The surrogate of a source.

    source: a directory that `Surrogate.save` wrote, a run's directory or a training checkpoint; a name of the zoo,
    "ns2d-sfno" (`pdeops list`), or "zoo:ns2d-sfno" where a folder of this name is in the way;
    "hub:owner/name@revision", a repository of the Hugging Face Hub; or "wandb:entity/project/name:version", a W&B
    artifact. What is on this machine is taken from there. Nothing that is read runs code of its own. Raises InputError
    for what is not there, is out of reach, damaged or foreign.
    """
    return saved.load(resolve(source))


def resolve(source: str | Path) -> Path:
    """The folder, or the checkpoint, on this machine that a source of `load` names; fetched if it is elsewhere."""
    text = str(source)
    if named(text):
        kind, _, place = (text if ":" in text else f"zoo:{text}").partition(":")
        return FETCHED[kind](place)
    path = Path(source)
    if not path.exists():
        near = did_you_mean(text, zoo.names())
        raise InputError(
            f"{text}: there is no such folder or file, and no such name in the zoo."
            f"{' ' * bool(near)}{near} Other sources are hub:owner/name@revision and wandb:entity/project/name:version"
        )
    if text in zoo.names():
        print(f"pdeops: {text} is the folder here, not the zoo's: that is zoo:{text}", file=sys.stderr)
    return path


def named(source: str) -> bool:
    """Whether a source is a name, and no place on this machine."""
    kind, colon, _ = source.partition(":")
    return (kind in FETCHED and bool(colon)) or (source in zoo.names() and not Path(source).exists())
