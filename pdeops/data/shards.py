"""Shards: the unit of work of a generation, each solved alone and written whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch

from pdeops.config import differences, from_config
from pdeops.errors import InputError, first_line
from pdeops.files import atomically
from pdeops.memory import keep_freed
from pdeops.solvers.steppers import Diverged

MANIFEST = "manifest.json"


def parts_of(path: Path) -> Path:
    """The folder of a data file's shards."""
    return path.with_suffix(".parts")


def shard_path(parts: Path, first: int) -> Path:
    """The file of the shard whose first sample is `first`."""
    return parts / f"{first:08d}.h5"


class Plan(NamedTuple):
    """How a recipe is carried out: decided once, before the first shard, and obeyed by whoever solves one.

    problem: as it is solved, every choice made; reason: a sentence on these; order: the samples in the order of the
    shards, None: as they are numbered.
    """

    problem: dict[str, Any]
    reason: str
    order: list[int] | None

    def samples(self, shard: range) -> Sequence[int]:
        """The samples at these places of the order."""
        return shard if self.order is None else self.order[shard.start : shard.stop]


def claim(parts: Path, recipe: dict[str, Any], decide: Callable[[], Plan]) -> Plan:
    """Create the folder of shards with a plan, or check that the one there belongs to the same recipe: its plan."""
    manifest = parts / MANIFEST
    if not manifest.exists():
        plan = decide()
        with atomically(manifest) as temporary:
            temporary.write_text(json.dumps({"recipe": recipe, "plan": plan._asdict()}, indent=2))
        return plan
    theirs, plan = read_manifest(parts)
    changed = differences(recipe, theirs)
    if changed:
        key, mine, other = changed[0]
        raise InputError(
            f"{parts} holds the shards of another data set: {key} is {other!r} there and {mine!r} here. "
            "Finish that one with its own settings, or delete the folder."
        )
    problem, order = recipe["problem"], plan.order
    solver, chosen = problem.get("solver") or {}, plan.problem.get("solver") or {}
    if (
        (order is not None and sorted(order) != list(range(recipe["n"])))
        or any(not key.startswith("solver") for key, *_ in differences(problem, plan.problem))
        or solver.get("tolerance") != chosen.get("tolerance")
    ):
        raise InputError(
            f"{manifest}: its plan is not one for its recipe: something changed it. Delete the folder to begin again."
        )
    return plan


def read_manifest(parts: Path) -> tuple[dict[str, Any], Plan]:
    """Its recipe and plan. Raises InputError if it is not a manifest."""
    path = parts / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        recipe, plan = manifest["recipe"], Plan(**manifest["plan"])
        recipe["seed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path} is not the manifest of a generation ({first_line(error)}). Delete the folder to begin again."
        ) from error
    return recipe, plan


def belongs(parts: Path, recipe: dict[str, Any]) -> bool:
    """Whether a folder holds the shards of a recipe."""
    try:
        return read_manifest(parts)[0] == recipe
    except InputError:
        return False


def check_device(device: str) -> None:
    """Raises InputError if torch cannot compute on `device` here."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"data.device={device}: {first_line(error)}") from error


def solve_shard(parts: Path, device: str, shard: range, progress: Callable[[float], None] | None = None) -> range:
    """Solve the samples of a shard by the plan in its folder, and write them there.

    The values depend on the manifest alone, wherever this runs. Returns `shard`. Raises InputError, and writes nothing,
    if a solution misses the solver's tolerance or is not finite, or if the device is not there.
    """
    path = shard_path(parts, shard[0])
    if path.exists() or not parts.exists():  # left in a queue by a killed run, and done by a later one
        return shard
    check_device(device)
    keep_freed()
    recipe, plan = read_manifest(parts)
    built, indices = from_config(plan.problem), plan.samples(shard)
    a = built.sample(indices, recipe["seed"])
    try:
        solution = built.solve(a.to(device), progress)
    except Diverged as failure:
        raise InputError(f"{built.name}, sample {indices[failure.sample]}: {failure.reason}") from failure
    bad = (~solution.converged).nonzero().flatten().tolist()
    if bad:
        raise InputError(
            f"{built.name}: sample {indices[bad[0]]} has a solver error of {float(solution.error[bad[0]]):.1e}, "
            f"above problem.solver.tolerance. {built.remedy} Whole shards written so far are kept."
        )
    with atomically(path) as temporary, h5py.File(temporary, "w") as f:
        f["a"], f["u"] = built.stored(a).float().numpy(), solution.u.float().cpu().numpy()
        f["samples"] = np.array(indices, dtype=np.int64)
        f["residual"], f["error"] = solution.residual.cpu().numpy(), solution.error.cpu().numpy()
    return shard
