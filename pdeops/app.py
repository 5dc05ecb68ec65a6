"""`train` and `generate` as commands: a configuration composed by Hydra, checked, and run; errors in words."""

from __future__ import annotations

import functools
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pdeops.errors import InputError, Preempted
from pdeops.overrides import checked, explain, is_group, shipped

OmegaConf.register_new_resolver("uid", lambda: secrets.token_hex(2), use_cache=True)


SCRIPTS = {"train": "train.py", "generate": "data/generate.py"}


def main(job: str, arguments: Sequence[str]) -> int:
    """Run `train` or `generate` with Hydra's command line; the exit status."""
    arguments = [_in_full(text) for text in arguments]
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


def _in_full(argument: str) -> str:
    """`scheduler=null` as Hydra spells it, `~scheduler`; `solver=...`, which is the problem's, `branch=...`, which is
    the model's; `ckpt=...`, a surrogate."""
    group, _, value = argument.partition("=")
    if group == "ckpt":
        return f"init_from={value}"
    if group == "solver":
        return f"problem.solver={value}" if value in ("null", "none") else f"solver@problem.solver={value}"
    if group == "branch":
        return "model.branch=null" if value in ("null", "none") else f"branch@model.branch={value}"
    return f"~{group}" if value in ("null", "none") and is_group(group) else argument


def reported(call: Callable[[], Any], arguments: Sequence[str] = ()) -> int:
    """Call; a user's error becomes one message on standard error and status 2, without a traceback."""
    try:
        call()
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
    return 0


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
                f"-m with trainer.devices={plain['trainer']['devices']}: several runs, each on several devices, do not "
                "fit into one process tree. Start one run per command, or use one device per run."
            )
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
