"""Objects as plain configurations, and back.

Every pdeops class keeps each constructor argument as an attribute of the same name, so a model, a problem
or a grid can be written down as `{"_target_": "pdeops...", argument: value, ...}` without a registry and
without pickle. Only what describes a surrogate or a data file is ever built from such a configuration
(`BUILDABLE`): classes without effects on anything but themselves.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from pdeops.errors import InputError, first_line
from pdeops.hints import fits, hints_of, words

PARTS = r"grid|window|(?:models|nn|problems|solvers|uncertainty)(?:\.(?!compiled\b)[a-z]\w*)+"
BUILDABLE = re.compile(rf"(pdeops\.(?:{PARTS}))\.([A-Z]\w*)", re.ASCII)


def to_config(obj: Any) -> Any:
    """A JSON-able description of `obj`: scalars as they are, pdeops objects by their constructor arguments."""
    if obj is None or isinstance(obj, bool | int | float | str):
        return obj
    if isinstance(obj, Path):
        return str(obj)
    if isinstance(obj, Mapping):
        return {str(k): to_config(v) for k, v in obj.items()}
    cls = type(obj)
    if cls.__module__.startswith("pdeops."):
        arguments = {name: to_config(getattr(obj, name)) for name in inspect.signature(cls).parameters}
        return {"_target_": f"{cls.__module__}.{cls.__qualname__}", **arguments}
    if isinstance(obj, list | tuple):
        return [to_config(v) for v in obj]
    raise TypeError(f"cannot write a {cls.__module__}.{cls.__qualname__} into a configuration")


def from_config(config: Any) -> Any:
    """Build what `to_config` described.

    Raises InputError if a `_target_` is not a class of `BUILDABLE`, or its arguments do not fit, by type or by what its
    constructor says of them.
    """
    if isinstance(config, list):
        return [from_config(v) for v in config]
    if not isinstance(config, dict):
        return config
    values = {k: from_config(v) for k, v in config.items() if k != "_target_"}
    if "_target_" not in config:
        return values
    cls = buildable(config["_target_"])
    hints = hints_of(cls)
    try:
        for name, value in values.items():
            if name in hints and not fits(value, hints[name], built=True):
                raise TypeError(f"{name}={_short(value)}, wanted {words(hints[name])}")
        return cls(**values)
    except InputError:
        raise
    except Exception as error:  # whatever a constructor runs into, the configuration is to blame
        raise InputError(
            f"{config['_target_']} cannot be built from this configuration: {first_line(error)}. "
            "It was probably written by another version of pdeops."
        ) from error


def buildable(target: Any) -> type:
    """The class of `BUILDABLE` that a description names. Raises InputError on anything else."""
    if isinstance(target, str) and (match := BUILDABLE.fullmatch(target)):
        module, name = match.groups()
        try:
            cls = getattr(import_module(module), name, None)
        except ImportError:
            cls = None
        if isinstance(cls, type) and cls.__module__ == module:
            return cls
    raise InputError(
        f"refused to build {_short(target)}: a saved configuration may only name pdeops' own grids, windows, models, "
        "problems and their parts, so that opening a file never runs anything else."
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def fingerprint(config: Any) -> str:
    """Eight hexadecimal digits that change when anything in the configuration does."""
    return hashlib.sha256(json.dumps(to_config(config), sort_keys=True).encode()).hexdigest()[:8]


def differences(mine: Any, theirs: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """Every leaf in which two configurations differ, as (dotted key, mine, theirs)."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        found = []
        for key in sorted({*mine, *theirs}):
            found += differences(mine.get(key), theirs.get(key), f"{where}.{key}" if where else key)
        return found
    return [] if mine == theirs else [(where, mine, theirs)]
