"""`train` and `generate` as commands: a configuration composed by Hydra, checked, and run; errors in words."""

from __future__ import annotations

import functools
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdeops.errors import InputError, Preempted
from pdeops.overrides import checked, explain, in_full, shipped

OmegaConf.register_new_resolver("uid", lambda: secrets.token_hex(2), use_cache=True)


SCRIPTS = {"train": "train.py", "generate": "data/generate.py"}
SWEEPS = {"-m", "--multirun", "--resume"}
FLAGS = {
    "--resume",
    "--cfg",
    "--package",
    "--config-path",
    "--config-name",
    "--config-dir",
    "--experimental-rerun",
    "--info",
}


def main(job: str, arguments: Sequence[str]) -> int:
    """Run `train`, `generate` or `search` with Hydra's command line; the exit status."""
    arguments = [word for text in arguments if (word := _from_an_agent(text))]
    if job == "search":
        return reported(lambda: _sweep(None, arguments), arguments)
    if _wants_sweep(arguments):
        return reported(lambda: _sweep(SCRIPTS[job], arguments), arguments)
    arguments = [in_full(text) for text in arguments]
    arguments.sort(key=lambda text: text not in ("-m", "--multirun"))  # Hydra wants this flag first
    # Lightning starts further processes by running argv[0] with the same arguments
    sys.argv = [str(shipped(SCRIPTS[job])), *arguments]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors through: they are reported here
    failed: list[str] = []
    entry = hydra.main(config_path=str(shipped("conf")), config_name="train", version_base="1.3")
    status = reported(lambda: entry(functools.partial(_job, job, failed))(), arguments)
    for message in failed:
        status = _complain(message)
    return status


def _from_an_agent(argument: str) -> str | None:
    """`--key=value` as sweep agents write it, for `key=value`; None for W&B's own `_wandb`; Python's None for null."""
    key, equals, value = argument.partition("=")
    if not equals or (key.startswith("-") and key in FLAGS):
        return argument
    key = key.removeprefix("--")
    if key.lstrip("+") == "_wandb":
        return None
    return f"{key}={'null' if value == 'None' else value}"


def _wants_sweep(arguments: Sequence[str]) -> bool:
    """Whether there are points to launch: `-m`, `--resume FOLDER`, or a launcher. Hydra answers what it is asked, and
    sweeps itself where one of its own launchers or sweepers is named."""
    flags = {text.partition("=")[0] for text in arguments if text.startswith("-")}
    hydras = [text for text in arguments if text.startswith(("hydra/launcher=", "hydra/sweeper="))]
    if hydras or flags - SWEEPS:
        return False
    return bool(flags) or any(text.startswith(("launcher=", "launcher.", "sweep.resume=")) for text in arguments)


def _sweep(script: str | None, arguments: Sequence[str]) -> int:
    """A sweep of a script, or a search; new, or gone on with."""
    words = [text for text in arguments if text not in ("-m", "--multirun")]
    folder = None
    if "--resume" in words:
        at = words.index("--resume")
        if at + 1 == len(words):
            raise InputError("--resume: wanted the folder of a sweep or a search, --resume runs/multirun/...")
        folder = words[at + 1]
        del words[at : at + 2]
    for text in [text for text in words if text.startswith(("--resume=", "sweep.resume="))]:
        folder = text.partition("=")[2]
        words.remove(text)
    module = import_module(f"pdeops.sweeps.{'sweep' if script else 'search'}")
    if folder is not None:
        return module.resume(Path(folder), words)
    return module.begin(script, words) if script else module.begin(words)


def reported(call: Callable[[], Any], arguments: Sequence[str] = ()) -> int:
    """Call; a user's error becomes one message on standard error and status 2, without a traceback. A number that is
    returned is the status."""
    try:
        found = call()
    except (InputError, _Refused) as error:
        return _complain(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        if isinstance(error, InstantiationException):
            raise
        return _complain(explain(error, arguments))
    except OSError as error:
        message = _users_fault(error)
        if message is None:
            raise
        return _complain(message)
    except Preempted as stop:
        return _complain(str(stop), os.EX_TEMPFAIL)
    except KeyboardInterrupt as interrupt:
        return _complain(str(interrupt) or "interrupted", 130)
    return found if isinstance(found, int) else 0


def _complain(message: str, status: int = 2) -> int:
    print(f"pdeops: {message}", file=sys.stderr)
    return status


def _job(job: str, failed: list[str], config: DictConfig) -> Any:
    """One run. In a sweep a refused run is noted, and the others go on."""
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        plain = checked(config)
        if sweep and plain["trainer"].get("devices", 1) not in (1, "auto", [0]):
            raise InputError(
                f"hydra/launcher and trainer.devices={plain['trainer']['devices']}: runs on several devices do not "
                "fit into one process tree. Leave hydra/launcher out: launcher=local gives each run a tree of its own"
            )
        del plain["launcher"]  # what a run does not know of, it does not depend on
        module, name = "pdeops.training", job
        if job == "train" and plain["task"]["_target_"] == "pdeops.tasks.refine.Refine":
            module, name = "pdeops.refining", "refine"
        return getattr(import_module(module), name)(plain)  # imported when the configuration is sound
    except Exception as error:
        message = _users_fault(error)
        if message is None:
            raise
        if not sweep:
            raise _Refused(message) from error
        failed.append(f"run {HydraConfig.get().job.num} of the sweep: {message}")
        return None


def _users_fault(error: Exception) -> str | None:
    """What to tell the user, or None if it is no fault of theirs."""
    cause = (error.__cause__ or error) if isinstance(error, InstantiationException) else error
    if isinstance(cause, InputError):
        return str(cause)
    if isinstance(cause, OSError) and cause.filename is not None:
        return f"{cause.filename}: {cause.strerror}"
    if type(cause).__name__ == "MisconfigurationException":  # Lightning's, which may not be imported yet
        return f"trainer: {cause}"
    return None


class _Refused(BaseException):
    """Carries the message of a user's error past Hydra, which would announce it as a failed job."""
