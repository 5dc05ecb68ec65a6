"""What a search varies."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pdeops.errors import InputError

KINDS = ("float", "log", "int", "choice")
WANTED = "wanted {float: [from, to]}, {log: [from, to]}, {int: [from, to]}, {int: [from, to, step]} or {choice: [...]}"


class Range(NamedTuple):
    """Values of one key. kind `float`, `log`: values from and to (whole numbers where both are and it is `log`); `int`:
    from, to and perhaps a step; `choice`: all of them."""

    kind: str
    values: list[Any]

    def ask(self, trial: Any, key: str) -> Any:
        """A value of an Optuna trial; a choice as text."""
        if self.kind == "choice":
            return trial.suggest_categorical(key, [_text(value) for value in self.values])
        low, high, *step = self.values
        if self.kind == "int":
            return trial.suggest_int(key, low, high, step=step[0] if step else 1)
        suggest = trial.suggest_int if self.whole and self.kind == "log" else trial.suggest_float
        return suggest(key, low, high, log=self.kind == "log")

    @property
    def whole(self) -> bool:
        return all(isinstance(value, int) for value in self.values)

    @property
    def first(self) -> Any:
        return _text(self.values[0])


def ranges(space: Mapping[str, Any], where: str = "") -> dict[str, Range]:
    """The ranges of a nested mapping by dotted keys; null is left out. Raises InputError on what is none."""
    found: dict[str, Range] = {}
    for key, node in space.items():
        place = f"{where}.{key}" if where else str(key)
        if node is None:
            continue
        if not isinstance(node, Mapping):
            raise InputError(f"search.space.{place}={node!r}: {WANTED}")
        if set(node) & set(KINDS) and not any(isinstance(value, Mapping) for value in node.values()):
            found[place] = _range(place, node)
        else:
            found |= ranges(node, place)
    return found


def _range(place: str, node: Mapping[str, Any]) -> Range:
    (kind, values), *more = node.items()
    if more or kind not in KINDS or not isinstance(values, list) or not values:
        raise InputError(f"search.space.{place}={dict(node)}: {WANTED}")
    if kind == "choice":
        return Range(kind, values)
    numbers = [v for v in values if isinstance(v, int if kind == "int" else int | float) and not isinstance(v, bool)]
    sizes = (2, 3) if kind == "int" else (2,)
    if len(numbers) < len(values) or len(values) not in sizes or not values[0] < values[1]:
        raise InputError(f"search.space.{place}={dict(node)}: {WANTED}, the smaller one first")
    if kind == "log" and values[0] <= 0:
        raise InputError(f"search.space.{place}={dict(node)}: a logarithmic range begins above 0")
    if values[2:] and values[2] < 1:
        raise InputError(f"search.space.{place}={dict(node)}: wanted a step of at least 1")
    return Range(kind, values)


def _text(value: Any) -> Any:
    """As Hydra's command line has it; numbers as they are."""
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return json.dumps(value).replace('"', "")
