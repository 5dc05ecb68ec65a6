"""Going on with a run: from which checkpoint, whether it fits, and by which command."""

from __future__ import annotations

import shlex
import sys
import warnings
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from pdeops.config import differences, to_config
from pdeops.errors import InputError
from pdeops.saved import read_checkpoint
from pdeops.tasks.storage import LAST, PREVIOUS


def checkpoint_of(config: dict[str, Any], out: Path) -> str | None:
    """What `ckpt_path` stands for; `auto` is the newest whole checkpoint in the run's folder, None where there is none.

    Raises InputError if there are checkpoints and all are damaged.
    """
    if config["ckpt_path"] != "auto":
        return config["ckpt_path"]
    damaged = []
    for path in (_folder(config, out) / LAST, _folder(config, out) / PREVIOUS):
        if not path.exists():
            continue
        try:
            read_checkpoint(path)
        except InputError as error:
            damaged.append(str(error))
            continue
        if damaged:
            warnings.warn(f"{damaged[0]}. Going on from {path}, the one before it", stacklevel=2)
        return str(path)
    if damaged:
        raise InputError("; ".join(damaged) + ". To begin anew, remove what is there or take another hydra.run.dir")
    return None


def command(config: dict[str, Any], out: Path) -> str:
    """The command that goes on with this run, in its folder."""
    return shlex.join([sys.executable, sys.argv[0], *words(), f"hydra.run.dir={out}", "ckpt_path=auto"])


def words() -> list[str]:
    """What the command line said, but for where the run is and what it goes on from."""
    given = HydraConfig.get().overrides
    left_out = ("ckpt_path=", "hydra.run.dir=", "hydra.sweep.", "hydra.mode=")
    return [text for text in (*given.task, *given.hydra) if not text.startswith(left_out)]


def check_resumable(config: dict[str, Any], model: Any) -> None:
    """The checkpoint must be of the same model and, to train on, of the same optimiser and schedule, with their
    settings and length: what goes on is the checkpoint's own, and another rate would be passed over."""
    path = config["ckpt_path"]
    checkpoint = read_checkpoint(path)
    if model is not None:
        changed = differences(to_config(model), checkpoint["surrogate"]["model"])
        if changed:
            key, mine, theirs = changed[0]
            raise InputError(f"ckpt_path={path} is of another model: {key} is {theirs!r} there and {mine!r} here")
    for group in ("optimizer", "scheduler") if config["train"] else ():
        changed = differences(config.get(group), checkpoint["settings"].get(group), group)
        if changed:
            key, mine, theirs = changed[0]
            raise InputError(
                f"ckpt_path={path}: its {key.removesuffix('._target_')} is {theirs}, not {mine}. Resume with that, or "
                "start anew from its weights with init_from"
            )
    epochs, before = config["trainer"].get("max_epochs"), checkpoint["settings"]["trainer"].get("max_epochs")
    timed = any({"total_steps", "T_max"} & set(s) for s in checkpoint.get("lr_schedulers", []))
    if config["train"] and timed and epochs != before:
        raise InputError(
            f"ckpt_path={path}: its schedule was made for trainer.max_epochs={before}, not {epochs}. Resume with that, "
            "or start a new schedule from its weights with init_from"
        )


def _folder(config: dict[str, Any], out: Path) -> Path:
    """Where the run keeps its checkpoints."""
    checkpoint = (config["callbacks"] or {}).get("checkpoint") or {}
    return Path(checkpoint.get("dirpath") or out / "checkpoints")
