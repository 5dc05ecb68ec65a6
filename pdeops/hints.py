"""Whether plain values may stand where annotations want them."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin


def hints_of(target: Any) -> Mapping[str, Any]:
    """The annotations of what `target` is called with, by name; none where they cannot be told."""
    try:
        if inspect.isclass(target) and not hasattr(target, "__dataclass_fields__"):
            return typing.get_type_hints(target.__init__)
        return typing.get_type_hints(target)
    except (NameError, TypeError):  # annotations that exist for type checkers only
        return {}


def fits(value: Any, wanted: Any, *, built: bool = False) -> bool:
    """Whether a value may stand for an annotated parameter. built: a mapping is one, and no object yet to be built."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return any(fits(value, option, built=built) for option in get_args(wanted))
    if origin is Literal:
        return value in get_args(wanted)
    if wanted in (None, type(None)):
        return value is None
    if value is None:
        return not inspect.isclass(origin or wanted) or wanted is object
    if wanted is bool:
        return isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted in (str, Path):
        return isinstance(value, str)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, dict)
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        items = get_args(wanted)
        return isinstance(value, list) and (not items or all(fits(v, items[0], built=built) for v in value))
    if not inspect.isclass(wanted) or (isinstance(value, dict | list) and not built):
        return True
    if getattr(wanted, "_is_protocol", False):
        return not isinstance(value, bool | int | float | str)
    return isinstance(value, wanted)


def words(wanted: Any) -> str:
    """An annotation as users read it."""
    origin = get_origin(wanted)
    if origin in (Union, types.UnionType):
        return " or ".join(words(option) for option in get_args(wanted))
    if origin is Literal:
        return "one of " + ", ".join(repr(v) for v in get_args(wanted))
    if wanted in (None, type(None)):
        return "null"
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
    if origin is not None and inspect.isclass(origin) and issubclass(origin, Sequence):
        items = get_args(wanted)
        if not items:
            return "a list"
        item = words(items[0])
        return f"a list, each {item}" if get_origin(items[0]) is Literal else f"a list of {item.split(' ', 1)[-1]}s"
    return names.get(wanted, getattr(wanted, "__name__", str(wanted)))
