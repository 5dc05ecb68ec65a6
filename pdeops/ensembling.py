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
    """The mean of the surrogates at `sources`: whatever `pdeops.load` takes, or folders of several (a sweep's).

    Of an ensemble its members come in; bands do not, as they are of other predictions. Raises InputError unless there
    are two members or more, of one window, problem, data (where runs tell) and precision, and of different weights.
    """
    named = [(name, member) for source in sources for name, s in _found(source) for member in s.members]
    if len(named) < 2:
        raise InputError(f"{len(named)} surrogate in {', '.join(map(str, sources))}: an ensemble needs two or more")
    for one, other in combinations(named, 2):
        _check(one, other)
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


def _check(one: tuple[Path, Surrogate], other: tuple[Path, Surrogate]) -> None:
    """Raise InputError unless both can be members of one ensemble."""
    mine, theirs = _description(*one), _description(*other)
    shared = mine.keys() & theirs.keys()
    if changed := differences({key: mine[key] for key in shared}, {key: theirs[key] for key in shared}):
        key, here, there = changed[0]
        raise InputError(
            f"members of an ensemble share window, problem, data and precision; {key} is {here!r} in {one[0]} and "
            f"{there!r} in {other[0]}"
        )
    weights, others = (surrogate.model.state_dict() for _, surrogate in (one, other))
    if weights.keys() == others.keys() and all(torch.equal(weights[key], others[key]) for key in weights):
        raise InputError(
            f"{one[0]} and {other[0]} have the same weights: train members with different seeds (-m seed=0,1)"
        )


def _description(folder: Path, surrogate: Surrogate) -> dict[str, Any]:
    """What members share, of the data as far as a run's folder tells."""
    whole = surrogate.describe()
    found = {
        "window": whole["window"],
        "problem": whole["problem"],
        "precision": str(surrogate.normalize_in.mean.dtype),
    }
    config = (folder.parent if folder.name == "surrogate" else folder) / "config.json"
    if config.is_file():
        data = json.loads(config.read_text())["data"]
        found["data"] = {key: data.get(key) for key in DATA}
    return found
