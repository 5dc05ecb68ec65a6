"""From the words of a command line to the points of its sweep, checked before any of them runs."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig, open_dict

from pdeops.errors import InputError
from pdeops.overrides import checked, explain, in_full, is_choice, shipped

UNKNOWN = "unknown"  # the folder of a run that is not made yet


def expand(words: Sequence[str]) -> list[tuple[str, ...]]:
    """The points of `key=a,b`, `key=range(1,4)`, `key=choice(a,b)` and `key=glob(*)`: all combinations, the last key
    changing fastest. A key that is given twice has its last value. Raises InputError on what has no points."""
    with _composing() as parser:  # which knows the groups, for glob(*)
        try:
            overrides = parser.parse_overrides(list(words))
        except HydraException as error:
            raise InputError(explain(error, words)) from error
        values = {}
        for override in overrides:
            values[override.get_key_element()] = _values(override)
    return [tuple(in_full(text) for text in point) for point in itertools.product(*values.values())]


def _values(override: Override) -> list[str]:
    if not override.is_sweep_override():
        return [override.input_line or ""]
    if not override.is_discrete_sweep():
        raise InputError(
            f"{override.input_line}: an interval has no points. Give values, or look for the best: pdeops search"
        )
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]


@contextmanager
def _composing() -> Iterator[OverridesParser]:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        yield OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())


def composed(words: Sequence[str]) -> DictConfig:
    """The configuration of a command line's words, not checked. Raises InputError if there is none."""
    with _composing():
        try:
            return compose("train", overrides=list(words))
        except HydraException as error:
            raise InputError(explain(error, words)) from error


def check(points: Sequence[Sequence[str]], words: Sequence[str]) -> list[DictConfig]:
    """The configuration of each point, as far as its choices of groups and its trainer go: other values are checked
    at the first point of the same choices, and by the run itself.

    Raises InputError for the first fault, and for keys that some points lack, with what to write instead.
    """
    alike: dict[tuple[str, ...], DictConfig] = {}
    lacking: dict[str, list[int]] = {}
    kinds = [tuple(text for text in point if is_choice(text) or text.startswith("trainer.")) for point in points]
    faults: dict[tuple[str, ...], list[str]] = {}
    with _composing():
        for kind, point in zip(kinds, points, strict=True):
            if kind not in alike:
                alike[kind], faults[kind] = _composed(point)
    for number, kind in enumerate(kinds):
        for key in faults[kind]:
            lacking.setdefault(key, []).append(number)
    for key, numbers in lacking.items():
        if len(numbers) == len(points):
            raise InputError(explain(HydraException(f"Could not override {key!r}"), points[0]))
        raise InputError(_without(key, numbers, points, words))
    return [alike[kind] for kind in kinds]


def _composed(point: Sequence[str]) -> tuple[DictConfig, list[str]]:
    """A point's configuration, checked; and the keys of its overrides that it has not got, which are left out of it."""
    left, lacking = list(point), []
    while True:
        try:
            config = compose(
                "train", overrides=[*left, f"hydra.runtime.output_dir={UNKNOWN}"], return_hydra_config=True
            )
            break
        except ConfigCompositionException as error:
            found = re.search(r"Could not override '([^']+)'", f"{error} {error.__cause__}")
            rest = [text for text in left if text.lstrip("+~").split("=")[0] != found[1]] if found else left
            if found is None or len(rest) == len(left):
                raise InputError(explain(error, point)) from error
            lacking.append(found[1])
            left = rest
        except HydraException as error:
            raise InputError(explain(error, point)) from error
    HydraConfig.instance().set_config(config)  # for ${hydra:...}
    if not lacking:
        run = config.copy()
        with open_dict(run):
            del run["hydra"]
        checked(run)
    return config, lacking


def _without(key: str, numbers: Sequence[int], points: Sequence[Sequence[str]], words: Sequence[str]) -> str:
    """What to say when some points lack a key."""
    group = key.split(".")[0].replace("problem", "data")  # which brings its problem
    chosen = [next((text for text in point if text.startswith(f"{group}=")), group) for point in points]
    without = sorted({chosen[i] for i in numbers})
    having = sorted({text for i, text in enumerate(chosen) if i not in numbers})
    told = f"{key!r} is no key of {', '.join(without)} ({len(numbers)} of the {len(points)} points)."
    if set(without) & set(having):  # it hangs on several groups
        return f"{told} Sweep those points apart, without it"

    def line(choices: Sequence[str], keep: bool) -> str:
        values = ",".join(text.partition("=")[2] for text in choices)
        kept = [text for text in words if keep or text.lstrip("+").split("=")[0] != key]
        return " ".join(["-m", *(f"{group}={values}" if text.startswith(f"{group}=") else text for text in kept)])

    return (
        f"{told} Sweep them apart:\n  {line(having, True)}\n  {line(without, False)}\n"
        "and put them into one table with: pdeops leaderboard FOLDER FOLDER"
    )
