"""Configurations checked before anything runs, and errors that name the remedy.

Every node with a `_target_` is checked against the signature it will be called with: unknown keys and values
of the wrong type are found at once, with the nearest names. The root is checked against `Run`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdeops.errors import InputError, did_you_mean, first_line, nearest
from pdeops.hints import fits, hints_of, words

GIVEN = {"self", "in_channels", "out_channels", "grid_in", "grid_out", "window", "problem", "ahead"}  # not by users
SPECIAL = {"_target_", "_partial_", "_recursive_", "_convert_", "_args_"}


@dataclass
class Run:
    """The keys of `conf/train.yaml` that are not built by a `_target_`.

    train, test: what to do; compile: the model by torch.compile; recompute: what is in its blocks for the backward
    pass; report: whether a tested run leaves report.html; ckpt_path: a checkpoint to resume from (training) or to test,
    or `auto`, the newest in the run's folder; init_from: a saved surrogate whose weights and normalisation are the
    start; seed: of initial weights and of the order of samples.
    """

    seed: int
    train: bool
    test: bool
    compile: bool
    recompute: bool
    report: bool
    name: str
    ckpt_path: str | None
    init_from: str | None


GROUPS = (
    "problem",
    "engine",
    "data",
    "model",
    "loss",
    "optimizer",
    "scheduler",
    "trainer",
    "logger",
    "callbacks",
    "task",
    "launcher",
)


def shipped(name: str) -> Path:
    """`conf`, `train.py` or `data/generate.py`: inside the wheel, or beside the package in a source tree."""
    inside = Path(__file__).parent / "shipped" / name
    return inside if inside.exists() else Path(__file__).resolve().parents[1] / name


def is_group(name: str) -> bool:
    """Whether `name` is a group of configurations, such as model."""
    return bool(name) and shipped("conf").joinpath(name).is_dir()


def in_full(argument: str) -> str:
    """What users write, in the words of Hydra and of `conf`: `scheduler=null` is `~scheduler`; `solver=...` is the
    problem's, `branch=...` the model's; `ckpt=...` is a surrogate."""
    group, _, value = argument.partition("=")
    if group == "ckpt":
        return f"init_from={value}"
    if group == "solver":
        return f"problem.solver={value}" if value in ("null", "none") else f"solver@problem.solver={value}"
    if group == "branch":
        return "model.branch=null" if value in ("null", "none") else f"branch@model.branch={value}"
    return f"~{group}" if value in ("null", "none") and is_group(group) else argument


def _names(group: str) -> list[str]:
    return sorted(path.stem for path in shipped("conf").joinpath(group).glob("*.yaml"))


def checked(config: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain containers. Raises InputError for its first fault."""
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise InputError(f"{key}: {first_line(error)}" if key else first_line(error)) from error
    assert isinstance(plain, dict)
    known = typing.get_type_hints(Run)
    for key in plain:
        if key not in known and key not in GROUPS:
            raise InputError(f"unknown key {key!r}. {did_you_mean(str(key), [*known, *GROUPS])}")
    for key, wanted in known.items():
        _check_type(plain[key], wanted, key)
    if not 0 <= plain["seed"] < 2**32:
        raise InputError(f"seed={plain['seed']}: wanted 0 to {2**32 - 1}")
    for group in ("engine", "data", "model", "loss", "task", "optimizer", "trainer", "launcher"):
        if plain.get(group) is None:
            raise InputError(f"there is no {group}: choose one with {group}=..., see --help")
    for group in ("callbacks", "logger"):
        for name, node in (plain.get(group) or {}).items():
            if node is not None and not (isinstance(node, dict) and "_target_" in node):
                raise InputError(f"{group}.{name}={node!r}: wanted a _target_ and its arguments, or null")
    if (plain["data"] or {}).get("fresh") is not None and "problem" not in plain["loss"]:
        kind = str(plain["loss"].get("_target_")).rpartition(".")[2]
        raise InputError(
            f"data.fresh={plain['data']['fresh']} trains without solutions, which this loss ({kind}) compares with: "
            "choose loss=residual, or data.fresh=null"
        )
    for group in GROUPS:  # in this order, so that a value others refer to is reported where it stands
        _check_node(plain.get(group), group)
    return plain  # type: ignore[return-value]


def check_group(group: str, node: Any) -> None:
    """One group of a configuration, in plain containers. Raises InputError for its first fault."""
    _check_node(node, group)


def _check_node(node: Any, where: str) -> None:
    if not isinstance(node, dict):
        return
    hints: Mapping[str, Any] = {}
    if "_target_" in node:
        target = _target(node["_target_"], where)
        parameters = inspect.signature(target).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            for key in node:
                if key not in parameters and key not in SPECIAL:
                    options = [p for p in parameters if p not in GIVEN]
                    message = f"unknown key {where}.{key}. {did_you_mean(str(key), options)}"
                    if where == "model":
                        message += f" If an experiment sets it for another model, leave it out: '~model.{key}'"
                    raise InputError(message)
        hints = hints_of(target)
    elif where in GROUPS and where not in ("callbacks", "logger"):
        raise InputError(f"{where} has no _target_: it must say which class to build")
    for key, value in node.items():
        if key in SPECIAL:
            continue
        if key in hints:
            _check_type(value, hints[key], f"{where}.{key}")
        _check_node(value, f"{where}.{key}")


def _target(name: Any, where: str) -> Any:
    try:
        return get_object(name)
    except Exception as error:
        raise InputError(f"{where}._target_={name!r} cannot be imported: {error.__cause__ or error}") from error


def _check_type(value: Any, wanted: Any, where: str) -> None:
    if not fits(value, wanted):
        group = where.rpartition(".")[2]
        if is_group(group) and inspect.isclass(wanted):
            raise InputError(
                f"{where}={value!r}: wanted {words(wanted)}, chosen by {group}=NAME of {', '.join(_names(group))}"
            )
        named = isinstance(value, str) and "one of" in words(wanted)
        got = "" if named else f", got {type(value).__name__}"
        raise InputError(f"{where}={value!r}: wanted {words(wanted)}{got}")


def explain(error: Exception, arguments: Sequence[str]) -> str:
    """A composition error in the words of someone who mistyped: what came, the nearest names, what to do."""
    overrides = []
    for text in arguments:
        if text.startswith("search="):
            return f"{text}: a single run looks for nothing. Write pdeops search in front, not train"
        if text.startswith("-") or "=" not in text:
            continue
        try:
            overrides.append((text, OverridesParser.create().parse_overrides([text])[0]))
        except HydraException as fault:
            return (
                f"cannot read the override {text!r}: {first_line(fault)}. Write key=value, and quote lists: 'key=[1,2]'"
            )
    for text, override in overrides:  # first of all, as no configuration can be composed with it
        if override.package and f"{override.key_or_group}@{override.package}'. No match" in str(error):
            return f"{text}: what is chosen here has no {override.package} to choose. Leave it out"
    for text, override in overrides:
        if override.key_or_group.startswith("hydra."):  # Hydra's own keys stand elsewhere
            continue
        found = _explain_override(override.key_or_group, override.value(), text, arguments)
        if found:
            return found
    return first_line(error)


def _explain_override(key: str, value: Any, text: str, arguments: Sequence[str]) -> str | None:
    if is_group(key):
        for v in value if isinstance(value, list) else [value]:
            folder, slash, _ = str(v).rpartition("/")  # of experiment=zoo/darcy-fno
            options = [folder + slash + name for name in _names(f"{key}/{folder}")] or _names(key)
            if isinstance(v, str) and v not in options:
                return f"{key}={v}: there is no such {key}. {did_you_mean(v, options)}"
        return None
    keys = _known_keys(arguments)
    if text.startswith(("+", "~")) or key in keys:
        return None
    parent, _, leaf = key.rpartition(".")
    siblings = {k.rpartition(".")[2]: k for k in keys if k.rpartition(".")[0] == parent}
    close = [siblings[name] for name in nearest(leaf, siblings)] or nearest(key, keys, cutoff=0.8)
    if close:
        return f"unknown key {key!r} in {text!r}. Did you mean {' or '.join(map(repr, close))}?"
    others = _options_with(parent, leaf)
    if 0 < len(others) <= 4:
        return f"{key!r} in {text!r}: not of the {parent} that is chosen. It is a key of {', '.join(others)}."
    known = sorted(siblings.values()) or sorted({k.split(".")[0] for k in keys})
    return f"unknown key {key!r} in {text!r}. Known here: {', '.join(known)}."


def _options_with(group: str, key: str) -> list[str]:
    """The options of a group that have a key, as group=option."""
    if not is_group(group):
        return []
    paths = sorted((shipped("conf") / group).glob("*.yaml"))
    return [f"{group}={path.stem}" for path in paths if key in OmegaConf.load(path)]


def _known_keys(arguments: Sequence[str]) -> list[str]:
    """All dotted keys of the configuration with the choices of groups that were made."""
    choices = [text for text in arguments if is_choice(text)]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(shipped("conf")), version_base="1.3"):
        default = OmegaConf.to_container(compose("train", overrides=choices), resolve=False)
    keys: list[str] = []

    def walk(node: Any, where: str) -> None:
        for key, value in node.items():
            dotted = f"{where}.{key}" if where else str(key)
            keys.append(dotted)
            if isinstance(value, dict):
                walk(value, dotted)

    walk(default, "")
    return keys


def is_choice(text: str) -> bool:
    """Whether an override chooses among the shipped configurations of a group, or takes a group away."""
    group, _, option = text.partition("=")
    return shipped("conf").joinpath(group.lstrip("~").partition("@")[0], f"{option}.yaml").is_file() or (
        text.startswith("~") and is_group(text[1:]) and text[1:] != "problem"
    )
