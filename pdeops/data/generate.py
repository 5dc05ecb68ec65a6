"""Generating a data file from a problem: sharded, atomic, resumable, deterministic."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from filelock import FileLock
from tqdm import tqdm

from pdeops import __version__
from pdeops.config import differences, fingerprint, to_config
from pdeops.data.file import DataFile
from pdeops.data.schema import SCHEMA, Field, Spec, create, split_codes, split_sizes, write_stats
from pdeops.errors import InputError
from pdeops.files import atomically
from pdeops.problems.base import Problem


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
) -> Path:
    """Write `n` samples of `problem` to `path`, unless the file is already there.

    Shards of `shard` samples are written one by one beside the file, each atomically; a killed run resumes
    after the last whole shard and gives the same values as an unbroken one. Processes that ask for the same
    file at once wait for the first. Raises InputError if a solution misses the solver's tolerance or is not
    finite, or if the parts of another recipe lie there; nothing bad is written.
    """
    path = Path(path)
    if n < 1 or shard < 1:
        raise InputError(f"data.n={n}, data.shard={shard}: both must be at least 1")
    recipe = recipe_of(problem, n, seed, split, shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            parts = path.with_suffix(".parts")
            _claim(parts, recipe)
            start = time.time()
            _solve_shards(problem, parts, n=n, seed=seed, shard=shard, device=device)
            seconds = round(time.time() - start, 1)
            provenance = {"generator": f"pdeops {__version__}", "recipe": recipe, "seconds": seconds}
            _assemble(problem, path, parts, recipe, provenance)
            shutil.rmtree(parts)
    return path


def _claim(parts: Path, recipe: dict[str, Any]) -> None:
    """Create the folder of shards, or check that the one there belongs to the same recipe."""
    manifest = parts / "manifest.json"
    if not manifest.exists():
        parts.mkdir(parents=True, exist_ok=True)
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


def _solve_shards(problem: Problem, parts: Path, *, n: int, seed: int, shard: int, device: str) -> None:
    starts = range(0, n, shard)
    missing = [s for s in starts if not _shard(parts, s).exists()]
    done = n - sum(min(shard, n - s) for s in missing)
    if missing:
        size = spec_of(problem).nbytes(n) / 2**20
        pilot = problem.sample(range(missing[0], min(missing[0] + shard, n)), seed).to(device)
        duration = _duration(problem.cost(pilot) * (n - done) / len(pilot))
        resumed = f", {done} of them already there" if done else ""
        tqdm.write(f"generating {n} samples of {problem.name}{resumed}: {size:.1f} MiB, about {duration}")
    form = "{l_bar}{bar}| {n:.1f}/{total} samples [{elapsed}<{remaining}]"
    pause = 0.1 if sys.stderr.isatty() else 30  # seconds between two lines of a log file
    with tqdm(total=n, initial=done, bar_format=form, mininterval=pause, disable=not missing) as bar:
        for first in missing:
            indices = range(first, min(first + shard, n))
            base = bar.n

            def progress(fraction: float, base: float = base, count: int = len(indices)) -> None:
                bar.update(base + fraction * count - bar.n)

            a = problem.sample(indices, seed)
            solution = problem.solve(a.to(device), progress)
            bad = (~solution.converged).nonzero().flatten().tolist()
            if bad:
                worst = float(solution.error[bad].max())
                raise InputError(
                    f"{problem.name}: sample {indices[bad[0]]} has a solver error of {worst:.1e}, above "
                    "problem.solver.tolerance. Lower problem.solver.dt (or raise the tolerance, if you mean it). Whole "
                    "shards written so far are kept."
                )
            with atomically(_shard(parts, first)) as temporary, h5py.File(temporary, "w") as f:
                f["a"], f["u"] = a.float().numpy(), solution.u.float().cpu().numpy()
                f["residual"], f["error"] = solution.residual.cpu().numpy(), solution.error.cpu().numpy()
            progress(1.0)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{max(1, round(seconds))} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _shard(parts: Path, first: int) -> Path:
    return parts / f"{first:08d}.h5"


def _assemble(problem: Problem, path: Path, parts: Path, recipe: dict[str, Any], provenance: dict[str, Any]) -> None:
    spec, n = spec_of(problem), recipe["n"]
    with atomically(path) as temporary, h5py.File(temporary, "w") as f:
        create(f, spec, n, split_codes(recipe["split"]), provenance)
        ours = f["pdeops"]
        ours["seed"] = np.full(n, recipe["seed"], dtype=np.int64)
        for name in ("residual", "error"):
            ours.create_dataset(name, (n,), dtype="f8")
        for first in range(0, n, recipe["shard"]):
            with h5py.File(_shard(parts, first), "r") as part:
                rows = slice(first, first + len(part["u"]))
                for x in spec.fields:
                    names = problem.out_names if x.role == "target" else problem.in_names
                    source = part["u" if x.role == "target" else "a"]
                    f[f"t0_fields/{x.name}"][rows] = source[:, names.index(x.name)]
                for name in ("residual", "error"):
                    ours[name][rows] = part[name][:]
        write_stats(f, spec)


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
