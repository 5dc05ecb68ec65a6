"""JSON that anybody may have written: read strictly, and within bounds."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import Any

from pdeops.errors import InputError, first_line

LARGEST = 2**20  # of a whole number, and bytes of a file: nodes and channels are fewer
DEEPEST = 40  # lists and objects within each other


def read(path: Path) -> dict[str, Any]:
    """The object in a file.

    Raises InputError for what is no regular file of at most a megabyte, no JSON object, holds a key twice, a number
    that is not finite or a whole one beyond a million, or is nested more than forty deep.
    """
    if not path.is_file():  # links are followed; a device or a pipe might never end
        raise InputError(f"{path} is not a file")
    if (size := path.stat().st_size) > LARGEST:
        raise InputError(f"{path} has {size:,} bytes; a description has fewer than {LARGEST:,}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
        bounded(found)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON of a description: {first_line(error)}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} is not the description of anything: it holds no object")
    return found


def bounded(value: Any, depth: int = 0) -> None:
    """Raise ValueError on what `read` does not take of a value in plain containers."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"a whole number beyond {LARGEST:,}")
    if isinstance(value, float) and not isfinite(value):
        raise ValueError(f"{value} is no number of a description")
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            bounded(part, depth + 1)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(n for n in names if names.count(n) > 1)!r} stands there twice")
    return found
