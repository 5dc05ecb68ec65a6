"""Generating a data file from a problem: sharded, atomic, resumable, deterministic."""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock
from tqdm import tqdm

from pdeops import __version__
from pdeops.config import differences, fingerprint, from_config, to_config
from pdeops.data.engine import Engine, Serial, torch_threads
from pdeops.data.file import DataFile
from pdeops.data.schema import SCHEMA, Field, Spec, create, split_codes, split_sizes, write_stats
from pdeops.data.shards import Plan, check_device, claim, parts_of, shard_path, solve_shard
from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.problems.base import Problem
from pdeops.solvers.steppers import Diverged


def spec_of(problem: Problem) -> Spec:
    """What a file of this problem holds. An evolution's initial state is the first frame of its target."""
    evolves = problem.grid.time is not None
    given = [name for name in problem.in_names if not (evolves and name in problem.out_names)]
    fields = [Field(name, "input") for name in given]
    fields += [Field(name, "target", time_varying=evolves) for name in problem.out_names]
    return Spec(problem.name, problem.grid, tuple(fields), problem.parameters, to_config(problem))


def recipe_of(problem: Problem, n: int, seed: int, split: Sequence[float], shard: int) -> dict[str, Any]:
    """Everything the values of a data file depend on."""
    return {
        "schema": SCHEMA,
        "problem": to_config(problem),
        "n": n,
        "seed": seed,
        "split": list(split_sizes(n, split)),
        "shard": shard,
    }


def file_name(problem: Problem, n: int, seed: int, split: Sequence[float], shard: int) -> str:
    """`ns2d-<hash>.h5`: another viscosity, step, seed or size is another file."""
    return f"{problem.name}-{fingerprint(recipe_of(problem, n, seed, split, shard))}.h5"


def generate(
    problem: Problem,
    path: str | Path,
    *,
    n: int,
    seed: int = 0,
    split: Sequence[float] = (0.8, 0.1, 0.1),
    shard: int = 16,
    device: str = "cpu",
    engine: Engine | None = None,
    virtual: bool = False,
) -> Path:
    """Write `n` samples of `problem` to `path`, unless the file is already there.

    Shards of `shard` samples are solved by `engine` (None: one by one, in this process) and written beside the
    file, each atomically; a killed run resumes with the shards that are missing, and the values are the same
    whatever the engine and however often it was killed. virtual: the shards stay, and the file refers to them.
    Processes that ask for the same file at once wait for the first. Raises InputError if a solution misses the
    solver's tolerance or is not finite, if the parts of another recipe lie there, or if the engine has no
    workers or loses one; nothing bad is written.
    """
    path = Path(path)
    if n < 1 or shard < 1:
        raise InputError(f"data.n={n}, data.shard={shard}: both must be at least 1")
    recipe = recipe_of(problem, n, seed, split, shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            parts = parts_of(path)
            plan = claim(parts, recipe, functools.partial(_decide, problem, n, seed))
            start = time.time()
            _solve_missing(plan, parts, recipe, device, engine or Serial())
            provenance = {
                "generator": f"pdeops {__version__}",
                "recipe": recipe,
                "solver": plan.problem.get("solver"),
                "choice": plan.reason,
                "seconds": round(time.time() - start, 1),
            }
            _assemble(problem, path, recipe, plan, provenance, virtual)
            if not virtual:
                shutil.rmtree(parts)
    return path


def shards_of(recipe: dict[str, Any]) -> list[range]:
    """The samples of each shard."""
    n, shard = recipe["n"], recipe["shard"]
    return [range(first, min(first + shard, n)) for first in range(0, n, shard)]


def _decide(problem: Problem, n: int, seed: int) -> Plan:
    """Choices that depend on samples, and the order of all samples."""
    if problem.chooses:
        tqdm.write(f"choosing on pilot samples how to solve{_first_time()}")
    settled, reason = problem.settled(range(n), seed)
    order = list(settled.order(range(n), seed))
    return Plan(to_config(settled), reason, None if order == list(range(n)) else order)


def _first_time() -> str:
    if find_spec("numba") is None:
        return " (pip install 'pdeops[fast]' brings compiled solvers)"
    return " (compiled code is made the first time, in about 20 s)"


def _solve_missing(plan: Plan, parts: Path, recipe: dict[str, Any], device: str, engine: Engine) -> None:
    problem, n, seed = from_config(plan.problem), recipe["n"], recipe["seed"]
    missing = [shard for shard in shards_of(recipe) if not shard_path(parts, shard[0]).exists()]
    if not missing:
        return
    done = n - sum(map(len, missing))
    size = spec_of(problem).nbytes(n) / 2**20
    resumed = f", {done} of them already there" if done else ""
    estimate = _estimate(problem, plan.samples(missing[0]), missing, seed, device, engine)
    tqdm.write(f"generating {n} samples of {problem.name}{resumed}: {size:.1f} MiB, {estimate}")
    if plan.reason:
        tqdm.write(plan.reason)
    # workers may have another working directory
    solve = functools.partial(solve_shard, parts.resolve(), device)
    form = "{l_bar}{bar}| {n:.1f}/{total} samples [{elapsed}<{remaining}]"
    pause = 0.1 if sys.stderr.isatty() else 30  # seconds between two lines of a log file
    # smoothing=0: what remains follows from the mean rate of this run, for shards come home in bursts
    with tqdm(total=n, initial=done, bar_format=form, mininterval=pause, smoothing=0) as bar:

        def progress(shard: range, fraction: float) -> None:
            bar.update(done + fraction * len(shard) - bar.n)

        with contextlib.closing(engine.run(solve, missing, progress)) as finished:
            for shard in finished:
                done += len(shard)
                bar.update(done - bar.n)
    lost = [shard_path(parts, s[0]) for s in missing if not shard_path(parts, s[0]).exists()]
    if lost:
        raise InputError(
            f"the workers are done, but {lost[0]} is not there: they must see the same folder data.dir as this process"
        )


def _estimate(
    problem: Problem, pilots: Sequence[int], missing: Sequence[range], seed: int, device: str, engine: Engine
) -> str:
    """The time it will take, from a pilot's on this machine and the most samples that one job must solve."""
    jobs = min(engine.width(), len(missing))
    how = "" if isinstance(engine, Serial) else f" in {jobs} jobs"
    try:
        check_device(device)
    except InputError:
        if engine.here:
            raise
        return f"in an unknown time{how}: this machine has no {device} to try it on"
    pilot = problem.sample(pilots, seed).to(device)
    with torch_threads(engine.threads):
        try:
            one = problem.cost(pilot) / len(pilot)
        except Diverged as failure:
            raise InputError(f"{problem.name}, sample {pilots[failure.sample]}: {failure.reason}") from failure
    share = min(sum(map(len, missing)), math.ceil(len(missing) / jobs) * len(missing[0]))
    caveat = " (if each is as fast as one alone on this machine, and none waits in a queue)" if how else ""
    return f"about {_duration(one * share)}{how}{caveat}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _assemble(
    problem: Problem, path: Path, recipe: dict[str, Any], plan: Plan, provenance: dict[str, Any], virtual: bool
) -> None:
    """Make the file of its shards, every sample at its number; virtual: with fields that refer to them."""
    spec, n, parts = spec_of(problem), recipe["n"], parts_of(path)
    layouts = {x.name: _layout(problem, spec, x, parts, recipe, plan) for x in spec.fields} if virtual else None
    with atomically(path) as temporary:
        with h5py.File(temporary, "w") as f:
            create(f, spec, n, split_codes(recipe["split"]), provenance, layouts)
            ours = f["pdeops"]
            ours["seed"] = np.full(n, recipe["seed"], dtype=np.int64)
            for name in ("residual", "error"):
                ours.create_dataset(name, (n,), dtype="f8")
            for shard in shards_of(recipe):
                rows, places = _sorted(plan.samples(shard))
                with h5py.File(shard_path(parts, shard[0]), "r") as part:
                    if part["samples"][:].tolist() != list(plan.samples(shard)):
                        raise InputError(
                            f"{part.filename} holds other samples than the plan in {parts} says. Delete the folder to "
                            "begin again."
                        )
                    for x in () if virtual else spec.fields:
                        key, names = _in_shard(problem, x)
                        f[f"t0_fields/{x.name}"][rows] = part[key][:, names.index(x.name)][places]
                    for name in ("residual", "error"):
                        ours[name][rows] = part[name][:][places]
        write_stats(temporary, spec)


def _sorted(samples: Sequence[int]) -> tuple[slice | list[int], slice | np.ndarray]:
    """Samples in increasing order, as HDF5 takes them, and their places."""
    if isinstance(samples, range):
        return slice(samples.start, samples.stop), slice(None)
    places = np.argsort(samples)
    return [samples[i] for i in places], places


def _layout(
    problem: Problem, spec: Spec, x: Field, parts: Path, recipe: dict[str, Any], plan: Plan
) -> h5py.VirtualLayout:
    """Where a field's values lie in the shards, named from the file's own folder so that both can move."""
    shape = spec.shape(x, recipe["n"])
    layout = h5py.VirtualLayout(shape, "f4")
    key, names = _in_shard(problem, x)
    for shard in shards_of(recipe):
        name = f"{parts.name}/{shard_path(parts, shard[0]).name}"
        source = h5py.VirtualSource(name, key, (len(shard), len(names), *shape[1:]), "f4")
        if plan.order is None:
            layout[shard.start : shard.stop] = source[:, names.index(x.name)]
        else:
            for place, sample in enumerate(plan.samples(shard)):
                layout[sample] = source[place, names.index(x.name)]
    return layout


def _in_shard(problem: Problem, x: Field) -> tuple[str, tuple[str, ...]]:
    """The dataset of a shard that holds a field, and its channels."""
    return ("u", problem.out_names) if x.role == "target" else ("a", problem.in_names)


def check_problem(file: DataFile, problem: Problem) -> None:
    """Raise InputError, naming the first difference and both values, if another problem made the file."""
    mine, theirs = to_config(problem), file.spec.problem
    if theirs is None:
        raise InputError(
            f"{file.path} does not say which problem made it, so it cannot serve problem {problem.name!r}. "
            "Give problem=null to train on its fields alone."
        )
    changed = differences(mine, theirs)
    if changed:
        key, here, there = changed[0]
        more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
        raise InputError(
            f"{file.path} was made by another problem: {key} is {there!r} in the file and {here!r} in the "
            f"configuration{more}. Set problem.{key}={there}, or leave data.file out to have the right file made."
        )
