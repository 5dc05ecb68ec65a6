"""What other lattices than the trained one cost surrogates of steady problems: a table and a figure."""

from __future__ import annotations

import statistics
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from pdeops.config import differences, to_config
from pdeops.data.schema import split_sizes
from pdeops.errors import InputError
from pdeops.files import check_free
from pdeops.grid import Grid
from pdeops.norms import Lp, relative_error
from pdeops.report.canvas import literal, pyplot, save
from pdeops.report.lattices import Steady, lattices, solved, truths
from pdeops.report.runs import Run, finished, grouped, spread
from pdeops.surrogate import LatticeWarning, Surrogate

SUFFIXES = (".png", ".svg", ".pdf")
NODES = 2**19  # of a batch that is predicted at once


@dataclass(frozen=True)
class Sweep:
    """models: by name, one surrogate for each seed of training; problem: on the trained lattice; lattices: those of the
    table; samples: their numbers; seed: what they are drawn from."""

    title: str
    models: Mapping[str, Sequence[Surrogate]]
    problem: Steady
    lattices: Sequence[Steady]
    samples: range
    seed: int


class Row(NamedTuple):
    """errors: the relative L2 error of each model, one for each seed, or none, and then its refusal says why."""

    grid: Grid
    errors: dict[str, list[float]]
    refusals: dict[str, str]


def resolutions(
    folders: Sequence[Path],
    factors: Sequence[float],
    samples: int,
    figure: Path | None = None,
    *,
    force: bool = False,
) -> None:
    """Print a table for each experiment among the finished runs below `folders`, and draw them all.

    The lattices have `factors` times the intervals of the trained one; the samples are the first so many of the test
    split. Of a problem with a `resolution` they are solved once, on its nodes, and every lattice takes its own from
    there: one truth. Without one each lattice is a discrete problem of its own, of the same functions, and errors are
    against its own solution. Raises InputError, before anything is solved, on runs of other than steady problems,
    runs of one experiment on different samples, factors that do not fit, and a figure that is there.
    """
    if figure is not None:
        _check_figure(figure, force)
    found = grouped(finished(folders))
    sweeps = [
        prepare(title, {model: runs for (name, model), runs in found.items() if name == title}, factors, samples)
        for title in dict.fromkeys(name for name, _ in found)
    ]
    tables = {sweep.title: _printed(sweep) for sweep in sweeps}
    if figure is not None:
        draw(tables, figure, overwrite=force)


def prepare(title: str, models: Mapping[str, Sequence[Run]], factors: Sequence[float], samples: int) -> Sweep:
    """The sweep of an experiment's runs, refused if it cannot be made."""
    loaded = {model: [run.surrogate() for run in runs] for model, runs in models.items()}
    pairs = [pair for model, runs in models.items() for pair in zip(runs, loaded[model], strict=True)]
    recipes = [_recipe(run, surrogate) for run, surrogate in pairs]
    (first, surrogate), data = pairs[0], recipes[0]["data"]
    for (run, _), recipe in zip(pairs, recipes, strict=True):
        if changed := differences(recipe, recipes[0]):
            key, theirs, its = changed[0]
            raise InputError(
                f"the runs of {title} are of different samples: {key} is {its} in {first.folder}, and {theirs} in "
                f"{run.folder}. Give those of one kind"
            )
    train, validation, test = split_sizes(data["n"], data["split"])
    if not test or samples < 1:
        raise InputError(f"{title} has {test} test samples, and {samples} were wanted; both must be at least 1")
    begin = train + validation
    problem: Any = surrogate.problem  # steady, or its recipe would have been refused
    chosen = range(begin, begin + min(samples, test))
    return Sweep(title, loaded, problem, lattices(problem, factors), chosen, data["seed"])


def _recipe(run: Run, surrogate: Surrogate) -> dict[str, Any]:
    """What a run's samples depend on."""
    problem, data = surrogate.problem, run.config["data"]
    if not isinstance(problem, Steady):
        what = problem.name if problem else "a file without a problem"
        raise InputError(
            f"{run.folder} was trained on {what}: only the samples of steady problems (darcy, poisson, helmholtz ...) "
            "can be solved on other lattices"
        )
    if data.get("file") or not {"n", "seed", "split"} <= set(data):
        raise InputError(f"{run.folder} was trained on a given file: its samples cannot be drawn on other lattices")
    equation = {key: value for key, value in to_config(problem).items() if key != "solver"}
    return {"problem": equation, "data": {key: data[key] for key in ("n", "seed", "split")}}


def rows(sweep: Sweep) -> Iterator[Row]:
    """The errors on each lattice; a bar on standard error tells how far it is."""
    count, surrogates = len(sweep.samples), sum(map(len, sweep.models.values()))
    solutions = len({solved(problem).grid for problem in sweep.lattices})
    pause = 0.1 if sys.stderr.isatty() else 30  # seconds between two lines of a log file
    form = "{desc} {percentage:.0f}% |{bar}| [{elapsed}]"
    total = count * (solutions + len(sweep.lattices) * surrogates)
    with tqdm(total=total, bar_format=form, mininterval=pause, leave=False) as bar:
        before = 0.0

        def told(grid: Grid, fraction: float) -> None:
            nonlocal before
            if fraction == 0:
                before = bar.n
                bar.set_description(f"{sweep.title}, solving {count} samples on {_size(grid)}")
            bar.update(before + fraction * count - bar.n)

        for problem, a, u in truths(sweep.lattices, sweep.samples, sweep.seed, told):
            bar.set_description(f"{sweep.title}, predicting on {_size(problem.grid)}")
            row = Row(problem.grid, {}, {})
            for model, trained in sweep.models.items():
                try:
                    row.errors[model] = [error(surrogate, a, u, problem.grid) for surrogate in trained]
                except InputError as refusal:  # a model that has no way to this lattice
                    row.errors[model], row.refusals[model] = [], str(refusal)
                bar.update(count * len(trained))
            yield row


def error(surrogate: Surrogate, a: Tensor, u: Tensor, grid: Grid) -> float:
    """The mean over the samples of ||prediction - u|| / ||u|| in L2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LatticeWarning)  # told under the table
        predicted = torch.cat([surrogate.predict(part) for part in a.split(max(1, NODES // prod(grid.shape)))])
    return float(relative_error(predicted.to(u), u, Lp(grid)).mean())


def _printed(sweep: Sweep) -> list[Row]:
    """The rows, each printed as it is found, and how to read them."""
    tqdm.write(f"| {sweep.title} | {' | '.join(sweep.models)} |\n|---|{'---|' * len(sweep.models)}")
    found = []
    for row in rows(sweep):
        cells = (spread(errors) if errors else "refused" for errors in row.errors.values())
        tqdm.write(f"| {_size(row.grid)} | {' | '.join(cells)} |")
        found.append(row)
    tqdm.write("\n" + "\n".join(notes(sweep, found)) + "\n")
    return found


def notes(sweep: Sweep, found: Sequence[Row]) -> list[str]:
    """What the figures are of, which way each model takes to other lattices, and what was refused."""
    trained, finest = _size(sweep.problem.grid), solved(sweep.problem)
    where = "each lattice itself" if finest is sweep.problem else f"{_size(finest.grid)} nodes"
    ways = (
        f"{model} ({' and '.join(dict.fromkeys(getattr(s.model, 'resolution', 'native') for s in surrogates))})"
        for model, surrogates in sweep.models.items()
    )
    return [
        f"Relative L2 over {len(sweep.samples)} test samples, solved on {where}.",
        f"Trained on {trained}; the ways to other lattices: {'; '.join(ways)}.",
        *(f"{model} on {_size(row.grid)}: {why}" for row in found for model, why in row.refusals.items()),
    ]


def _size(grid: Grid) -> str:
    return " x ".join(map(str, grid.shape))


def _check_figure(path: Path, force: bool) -> None:
    """Before minutes of work, not after."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: a figure's name ends in {', '.join(SUFFIXES)}, and this one in {path.suffix!r}")
    check_free(path, force, "choose another name")


def draw(tables: Mapping[str, Sequence[Row]], path: Path, *, overwrite: bool = True) -> Path:
    """Errors by nodes per axis as a file."""
    return save(error_figure(pyplot(), tables), path, overwrite=overwrite)


def error_figure(plt: Any, tables: Mapping[str, Sequence[Row]]) -> Any:
    """Errors by nodes per axis, the mean of the seeds: a panel for each experiment."""
    size = (5 * len(tables), 3.6)
    figure, panels = plt.subplots(1, len(tables), figsize=size, squeeze=False, layout="constrained")
    for ax, (title, found) in zip(panels[0], tables.items(), strict=True):
        for model in found[0].errors:
            points = sorted((row.grid[0].n, statistics.mean(row.errors[model])) for row in found if row.errors[model])
            ax.semilogx([n for n, _ in points], [e for _, e in points], "o-", label=literal(model))
        nodes = sorted({row.grid[0].n for row in found})
        ax.set(title=literal(title), xlabel="nodes per axis", ylabel="test relative L2")
        ax.set_xticks(nodes, labels=[str(n) for n in nodes], minor=False)
        ax.minorticks_off()
        ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
        ax.grid(alpha=0.3)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2, frameon=False)  # below: curves fill it
    return figure
