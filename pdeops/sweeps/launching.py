"""What sweeps and searches share: the launcher that a command line chooses, what a trainer takes, signals, times."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pdeops.errors import InputError, Preempted
from pdeops.overrides import check_group, in_full
from pdeops.sweeps.expansion import composed
from pdeops.sweeps.launcher import Launcher
from pdeops.training import build


def for_launcher(text: str) -> bool:
    return text.lstrip("+~").startswith(("launcher=", "launcher."))


def chosen_launcher(words: Iterable[str]) -> Launcher:
    chosen = composed([in_full(text) for text in words]).launcher
    if chosen is None:
        raise InputError("there is no launcher: choose one with launcher=..., see --help")
    node: Any = OmegaConf.to_container(chosen, resolve=True)
    check_group("launcher", node)
    return build("launcher", node)


def devices_of(trainer: DictConfig) -> dict[str, Any]:
    """What a trainer takes, as `Point` wants it."""
    devices = trainer.get("devices", 1)
    if OmegaConf.is_list(devices):
        devices = len(devices)
    count = int(devices) if str(devices).isdigit() else None  # auto and -1: all there are
    return {"devices": count, "nodes": trainer.get("num_nodes", 1), "gpu": trainer.get("accelerator") != "cpu"}


def refuse_ranks() -> None:
    """Each process of a launcher of ranks would run the whole sweep."""
    for name, starter in (("WORLD_SIZE", "torchrun"), ("SLURM_STEP_NUM_TASKS", "srun")):
        count = os.environ.get(name, "1")
        if count not in ("", "0", "1"):
            raise InputError(
                f"-m in {count} processes ({name}={count}): each would run the whole sweep. Start it once, without "
                f"{starter}: every point is a process tree of its own, with ranks by trainer.devices"
            )


@contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Preempted(f"stopped by {signal.Signals(number).name}")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def clock(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )
