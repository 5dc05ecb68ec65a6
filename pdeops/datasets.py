"""The file that surrogates are tried on: their run's own, another resolution of it, or another data set."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from pdeops.config import buildable
from pdeops.data.module import Generated
from pdeops.errors import InputError
from pdeops.overrides import explain, is_choice
from pdeops.report.runs import Run
from pdeops.report.subjects import Subject
from pdeops.sweeps.expansion import composed
from pdeops.training import data_module

DATA = re.compile(r"pdeops\.data\.(module\.(DataModule|Generated)|engine\.[A-Z][a-z]+|published\.Converted)")


def module_of(run: Run) -> Any:
    """The data of a run as they were configured. Raises InputError on classes that are not pdeops' own."""
    return data_module(_own(run))


def file_of(run: Run) -> Path:
    """The data file that a run was trained on. Raises InputError, with the command that makes it again, if it is
    gone."""
    kept = run.environment.get("data")
    if kept and Path(kept).is_file():
        return Path(kept)
    module = module_of(run)
    if isinstance(module, Generated) and module.file is None and not module.path.is_file():
        again = run.card.get("data", {}).get("command") or shlex.join(["pdeops", "generate", *run.overrides])
        raise InputError(f"the data of {run.folder} are gone: {kept or module.path}. Make them again with:\n{again}")
    return module.prepare()


def file_for(subjects: Sequence[Subject], words: Sequence[str]) -> Path:
    """What to try surrogates on: a file; what overrides say, generated when it is not there: a data set (data=ns2d), or
    changes of the first run's own (problem.n=128); without words the one file that all runs were trained on.

    Raises InputError if none can be found, and of runs of several files.
    """
    files_given = [text for text in words if "=" not in text or Path(text).is_file()]
    if files_given:
        if len(words) > 1:
            raise InputError(f"--data {' '.join(words)}: wanted one file, or KEY=VALUE words alone")
        return Path(words[0])
    runs = {subject.name: subject.run for subject in subjects}
    if any(is_choice(text) for text in words):
        return _prepared(composed(words))
    known = [run for run in runs.values() if run is not None]
    if words:
        if not known:
            raise InputError(
                f"{' '.join(words)} change a run's data, and there is no run: choose a data set, data=NAME"
            )
        return _prepared(_changed(known[0], words))
    if len(known) < len(runs):
        lost = next(name for name, run in runs.items() if run is None)
        raise InputError(f"what {lost} was trained on is not known: say what to try it on, --data FILE or data=NAME")
    files = {run.folder: file_of(run) for run in known}
    if len({path.resolve() for path in files.values()}) > 1:
        (one, first), (other, second) = _two(files)
        raise InputError(f"{one} was trained on {first}, {other} on {second}: say what to try them on, --data FILE")
    return next(iter(files.values()))


def _own(run: Run) -> dict[str, Any]:
    """A run's settings, which may be a stranger's: data and problem of pdeops' own classes, generated in this process.

    Raises InputError on any other class.
    """
    config = dict(run.config)
    for key in ("data", "problem"):
        for target in _targets(config.get(key)):
            if not (isinstance(target, str) and DATA.fullmatch(target)):
                buildable(target)
    if isinstance(config.get("data"), dict) and "engine" in config["data"]:
        config["data"] = config["data"] | {"engine": {"_target_": "pdeops.data.engine.Serial"}}
    return config


def _targets(tree: Any) -> Iterator[Any]:
    """What is to be built anywhere in a configuration."""
    if isinstance(tree, dict):
        if "_target_" in tree:
            yield tree["_target_"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _targets(part)


def _two(files: dict[Path, Path]) -> list[tuple[Path, Path]]:
    pairs = list(files.items())
    return [pairs[0], next(pair for pair in pairs if pair[1].resolve() != pairs[0][1].resolve())]


def _changed(run: Run, words: Sequence[str]) -> Any:
    """A run's data with some values changed."""
    config = OmegaConf.create(_own(run))
    try:
        overrides = OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        raise InputError(explain(error, words)) from error
    for override in overrides:
        key = override.key_or_group
        if key.split(".")[0] not in ("problem", "data") or OmegaConf.select(config, key, default=words) is words:
            raise InputError(f"{override.input_line}: {run.folder} has no such key of its problem or data")
        OmegaConf.update(config, key, override.value(), merge=False)
    return config


def _prepared(config: Any) -> Path:
    parts = {key: OmegaConf.to_container(config[key], resolve=True) for key in ("data", "problem") if config[key]}
    return data_module(cast("dict[str, Any]", {"problem": None, "task": {}, **parts})).prepare()
