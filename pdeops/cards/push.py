"""Surrogates to where others load them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pdeops.cards.bundle import bundle
from pdeops.errors import InputError
from pdeops.sources import artifacts, hub
from pdeops.sources.load import resolve


def push(source: str | Path, place: str, licence: str = "mit") -> str:
    """Upload a surrogate with its card to `hub:owner/name` or `wandb:entity/project/name`; the source that loads what
    was uploaded, and nothing later.

    source: as in `pdeops.load`. Raises InputError for another place, and as `load`, `hub.push` and `artifacts.push` do.
    """
    kind, _, rest = place.partition(":")
    to: Any = {"hub": hub, "wandb": artifacts}.get(kind)
    if to is None:
        raise InputError(f"{place}: wanted hub:owner/name or wandb:entity/project/name")
    to.parsed(rest)  # refuses before anything is read
    name = rest.partition("@")[0].partition(":")[0].rpartition("/")[2]
    with TemporaryDirectory() as folder:
        bundle(resolve(source), Path(folder) / name, name, licence)
        return to.push(Path(folder) / name, rest)
