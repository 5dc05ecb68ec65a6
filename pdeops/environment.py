"""Where and how a run was made."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from pdeops.resuming import words

PACKAGES = ("pdeops", "torch", "lightning", "hydra-core", "numpy", "scipy", "h5py", "neuraloperator", "numba")


def environment() -> dict[str, Any]:
    """Versions, devices, threads, the state of the source tree, and a line that makes the run again."""
    tracked = _git("ls-files", "--error-unmatch", __file__) is not None  # not installed into somebody's own tree
    commit = _git("rev-parse", "HEAD") if tracked else None
    cuda = torch.cuda.is_available()
    script = Path(sys.argv[0])
    again = shlex.join([*(["python", str(script)] if script.suffix == ".py" else [script.name]), *words()])
    return {
        "reproduce": f"cd {shlex.quote(os.getcwd())} && {again}",
        "git": None
        if commit is None
        else {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))},
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else [],
        "cuda": torch.version.cuda if cuda else None,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    """The name that Linux has for it, or whatever Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _git(*arguments: str) -> str | None:
    """What git says of the tree that this package is in; None where it is in none, or there is no git."""
    root = Path(__file__).resolve().parents[1]
    try:
        said = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if said.returncode else said.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
