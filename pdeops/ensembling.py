"""Several trained surrogates as one: `pdeops ensemble`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from pdeops import load
from pdeops.config import differences
from pdeops.errors import InputError
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import CONFIG, Surrogate
from pdeops.uncertainty.ensemble import Ensemble, Part

DATA = ("_target_", "file", "n", "seed", "split")  # what of a run's data says which samples it has seen


def ensemble(sources: Sequence[str | Path]) -> Surrogate:
    """The mean of the surrogates at `sources`: whatever `pdeops.load` takes, or folders that hold several, as a sweep's.

    Of an ensemble its members come in; bands do not, as they are of other predictions. Raises InputError unless there are two members or more, of the same window, problem, data (where runs tell) and precision, and of
    different weights.
    """
    named = [(name, member) for source in sources for name, s in _found(source) for member in s.members]
    if len(named) < 2:
        raise InputError(f"{len(named)} surrogate in {', '.join(map(str, sources))}: an ensemble needs two or more")
    first, mine = named[0][0], _description(*named[0])
    for name, member in named[1:]:
        if changed := differences(mine, _description(name, member)):
            key, here, there = changed[0]
            raise InputError(
                f"members of an ensemble share window, problem, data and precision; {key} is {here!r} in {first} and "
                f"{there!r} in {name}"
            )
    for (name, one), (other, two) in combinations(named, 2):
        if _same_weights(one, two):
            raise InputError(
                f"{name} and {other} have the same weights: train members with different seeds (-m seed=0,1)"
            )
    parts = [Part(s.model, s.normalize_in, s.normalize_out) for _, s in named]
    window, like = named[0][1].window, parts[0].normalize_in.mean
    i, o = (Normalizer.identity(channels).to(like) for channels in (window.in_channels, window.out_channels))
    return Surrogate(Ensemble.of(parts), window, i, o, named[0][1].problem).eval()


def _found(source: str | Path) -> Iterator[tuple[Path, Surrogate]]:
    """The surrogate of a source, or those below a folder that is none itself, in the order of their names."""
    path = Path(source)
    below = sorted(path.rglob(f"surrogate/{CONFIG}")) if path.is_dir() and not (path / CONFIG).exists() else []
    if not below:
        yield path, load(source)
    for file in below:
        yield file.parent.parent, load(file.parent)


def _description(folder: Path, surrogate: Surrogate) -> dict[str, Any]:
    described = surrogate.describe()
    run = folder.parent if folder.name == "surrogate" else folder
    data = json.loads((run / "config.json").read_text())["data"] if (run / "config.json").is_file() else {}
    return {
        "window": described["window"],
        "problem": described["problem"],
        "data": {key: data.get(key) for key in DATA} if data else None,
        "precision": str(surrogate.normalize_in.mean.dtype),
    }


def _same_weights(one: Surrogate, other: Surrogate) -> bool:
    mine, theirs = one.model.state_dict(), other.model.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[k], theirs[k]) for k in mine)
