"""Samples of a steady problem on other lattices than its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from math import inf

from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.spectral_poisson import SpectralPoisson

Steady = Elliptic | SpectralPoisson
Told = Callable[[Grid, float], None]  # the lattice that is being solved on, and the fraction done


def lattices(problem: Steady, factors: Sequence[float]) -> list[Steady]:
    """The problem on `factors` times its intervals.

    Raises InputError on factors that do not fit, with those that do where a `resolution` bounds them."""
    found = []
    for factor in factors:
        if not 0 < factor < inf:
            raise InputError(f"factor {factor:g}: wanted positive numbers, 2 for half of the trained mesh width")
        n = round((problem.n - _ends(problem)) * factor) + _ends(problem)
        try:
            found.append(replace(problem, n=n))
        except InputError as error:
            resolution = problem.resolution if isinstance(problem, Elliptic) else None
            if resolution is None:
                raise InputError(f"factor {factor:g}, {n} nodes per axis: {error}") from error
            raise InputError(
                f"factor {factor:g}: {n} {problem.nodes} nodes per axis are not among the {resolution} that the "
                f"samples are solved on (problem.resolution). Factors that work: {_working(problem, resolution)}"
            ) from error
    return found


def _ends(problem: Steady) -> int:
    """Nodes per axis beyond the number of intervals."""
    return problem.n - problem.grid[0].intervals


def _working(problem: Steady, finest: int) -> str:
    ends = _ends(problem)
    factors = [(n - ends) / (problem.n - ends) for n in range(4, finest + 1) if _fits(problem, n)]
    return ", ".join(f"{factor:g}" for factor in factors)


def _fits(problem: Steady, n: int) -> bool:
    try:
        replace(problem, n=n)
    except InputError:
        return False
    return True


def solved(problem: Steady) -> Steady:
    """The problem with all nodes that it is solved on: itself, if it has no `resolution`."""
    if isinstance(problem, Elliptic) and problem.resolution is not None:
        return replace(problem, n=problem.resolution)
    return problem


def truths(
    problems: Sequence[Steady], samples: range, seed: int, told: Told
) -> Iterator[tuple[Steady, Tensor, Tensor]]:
    """Each lattice with its inputs and solutions; neighbours that are solved on the same nodes share one solution.

    Raises InputError if a solution misses the tolerance of the problem's solver."""
    for grid, group in groupby(problems, lambda problem: solved(problem).grid):
        on_grid = list(group)
        finest = solved(on_grid[0])

        def progress(fraction: float, grid: Grid = grid) -> None:
            told(grid, fraction)

        progress(0.0)
        a = finest.sample(samples, seed)
        solution = finest.solve(a, progress)
        progress(1.0)
        if not solution.converged.all():
            raise InputError(f"a solution of {finest.name} misses its tolerance on {grid}. {finest.remedy}")
        for problem in on_grid:
            yield problem, problem.stored(a), problem.stored(solution.u)
