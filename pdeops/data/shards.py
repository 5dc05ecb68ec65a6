"""Shards: the unit of work of a generation, each solved alone and written whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import torch

from pdeops.config import differences, from_config
from pdeops.errors import InputError, first_line
from pdeops.files import atomically
from pdeops.solvers.steppers import Diverged

MANIFEST = "manifest.json"


def parts_of(path: Path) -> Path:
    """The folder of a data file's shards."""
    return path.with_suffix(".parts")


def shard_path(parts: Path, first: int) -> Path:
    """The file of the shard whose first sample is `first`."""
    return parts / f"{first:08d}.h5"


def claim(parts: Path, recipe: dict[str, Any]) -> None:
    """Create the folder of shards, or check that the one there belongs to the same recipe."""
    manifest = parts / MANIFEST
    if not manifest.exists():
        with atomically(manifest) as temporary:
            temporary.write_text(json.dumps(recipe, indent=2))
        return
    changed = differences(recipe, json.loads(manifest.read_text()))
    if changed:
        key, mine, theirs = changed[0]
        raise InputError(
            f"{parts} holds the shards of another data set: {key} is {theirs!r} there and {mine!r} here. "
            "Finish that one with its own settings, or delete the folder."
        )


def check_device(device: str) -> None:
    """Raises InputError if torch cannot compute on `device` here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"data.device={device}: {first_line(error)}") from error


def solve_shard(
    problem: dict[str, Any],
    seed: int,
    parts: Path,
    device: str,
    indices: range,
    progress: Callable[[float], None] | None = None,
) -> range:
    """Solve samples `indices` of a problem, given as its configuration, and write them to their shard.

    The values depend on the problem, the seed and the indices alone, wherever this runs: everything it takes is
    plain. Returns `indices`. Raises InputError, and writes nothing, if a solution misses the solver's tolerance or
    is not finite, or if the device is not there.
    """
    path = shard_path(parts, indices[0])
    if path.exists() or not parts.exists():  # left in a queue by a killed run, and done by a later one
        return indices
    check_device(device)
    built = from_config(problem)
    a = built.sample(indices, seed)
    try:
        solution = built.solve(a.to(device), progress)
    except Diverged as failure:
        raise InputError(f"{built.name}, sample {indices[failure.sample]}: {failure.reason}") from failure
    bad = (~solution.converged).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"{built.name}: sample {indices[bad[0]]} has a solver error of {float(solution.error[bad[0]]):.1e}, "
            "above problem.solver.tolerance. Lower problem.solver.dt, or set it to auto, or raise the tolerance if you "
            "mean it. Whole shards written so far are kept."
        )
    with atomically(path) as temporary, h5py.File(temporary, "w") as f:
        f["a"], f["u"] = built.stored(a).float().numpy(), solution.u.float().cpu().numpy()
        f["residual"], f["error"] = solution.residual.cpu().numpy(), solution.error.cpu().numpy()
    return indices
