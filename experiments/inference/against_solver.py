"""A surrogate against the numerical solver at the surrogate's own accuracy.

    python experiments/inference/against_solver.py SOURCE [SOURCE ...] [--samples 8] [--threads 1]

New samples of the problem's own distribution are solved to its tolerance: the truth. The surrogate's error is against
it. The solver is then made as coarse as that error allows, in nodes, steps and tolerance, and timed on the same job,
with the same batch and threads: of evolutions the frames that follow the first history, from its last frame on (etdrk2
or etdrk4, single precision, equal steps, no error estimate), interpolated to the surrogate's nodes by their Fourier
series; of steady problems a solution on fewer nodes, direct or by multigrid, interpolated by cubics. Making tables of
coefficients is not counted, nor is loading weights.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor

import pdeops
from pdeops.bases.fourier import resample
from pdeops.inference import running
from pdeops.nn.resample import OUTWARD, resampled
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.evolution import Evolution
from pdeops.solvers.direct import Direct
from pdeops.solvers.multigrid import Multigrid
from pdeops.solvers.schemes import SCHEMES

SHARES = (1 / 8, 3 / 16, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)  # of the nodes along an axis
STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)  # from frame to frame
TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)
Job = Callable[[], Tensor]


class Candidate(NamedTuple):
    """A solver as coarse as its name says."""

    name: str
    job: Job


class Case(NamedTuple):
    """truth: what is wanted, (B, C, ...); predict: the surrogate's; families: solvers, each from the coarsest on."""

    what: str
    truth: Tensor
    predict: Job
    families: list[Iterator[Candidate]]


def error(u: Tensor, truth: Tensor) -> float:
    """The mean over samples of the relative L2 error of all frames, channels and (equal) nodes together."""
    if not u.isfinite().all():
        return inf
    return float(((u - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean())


def evolving(surrogate: pdeops.Surrogate, problem: Evolution, samples: int) -> Case:
    window, inputs = surrogate.window, problem.sample(range(samples), seed=SEED)
    solution = problem.solve(inputs)
    assert solution.converged.all()
    frames, static = solution.u[:, :, :: window.stride], problem.stored(inputs)[:, len(problem.out_names) :]
    history, truth = frames[:, :, : window.n_in], frames[:, :, window.n_in :]
    a = window.make_input(history, static).float()
    state, given = history[:, :, -1].float(), problem.stored(inputs).float()
    return Case(
        f"{truth.shape[2]} frames {window.time_step:g} apart",
        truth,
        lambda: surrogate.rollout(a, truth.shape[2]),
        [
            steppers(problem, scheme, share, given, state, truth.shape[2], window.time_step)
            for scheme in ("etdrk2", "etdrk4")
            for share in SHARES
            if share * problem.n >= 4
        ],
    )


def steppers(
    problem: Evolution, scheme: str, share: float, given: Tensor, state: Tensor, frames: int, distance: float
) -> Iterator[Candidate]:
    """On a share of the nodes, with ever shorter steps."""
    fine = problem.grid.space
    n = round(share * problem.n)
    coarse = fine.resized((n,) * fine.ndim)
    a, u = (resample(x, coarse.shape) for x in (given, state))
    basis = problem.basis(coarse, dtype=torch.float32)
    linear, tendency = problem.linear(basis, a), problem.nonlinear(basis, a)
    for steps in STEPS:
        step = SCHEMES[scheme].prepare(linear, distance / steps, torch.complex64)

        def job(step: Any = step, steps: int = steps) -> Tensor:
            c = problem.admissible(basis, basis.to_modes(u))
            found = []
            for _ in range(frames):
                for _ in range(steps):
                    c = step(c, 0.0, lambda c, t: tendency(c))
                found.append(basis.to_values(c, fine))
            return torch.stack(found, 2)

        yield Candidate(f"{scheme}, {n} nodes an axis, {steps} steps a frame", job)


def steady(surrogate: pdeops.Surrogate, problem: Elliptic, samples: int) -> Case:
    finest = replace(problem, n=problem.resolution) if problem.resolution else problem
    inputs = finest.sample(range(samples), seed=SEED)
    solution = finest.solve(inputs)
    assert solution.converged.all()
    a, truth = problem.stored(inputs), problem.stored(solution.u)
    solvers = [Direct(), *(Multigrid(tolerance=tolerance) for tolerance in TOLERANCES)]
    strides = sorted(set.intersection(*(set(axis.strides) for axis in problem.grid)), reverse=True)
    return Case(
        "a solution",
        truth,
        lambda: surrogate.predict(a.float()),
        [lattices(problem, solver, strides, a) for solver in solvers],
    )


def lattices(problem: Elliptic, solver: Direct | Multigrid, strides: list[int], a: Tensor) -> Iterator[Candidate]:
    """On ever more nodes, where the coefficients are those of the nodes."""
    for stride in strides:
        here = a[problem.grid.every(stride)].contiguous()
        if here.shape[-1] < 4:
            continue
        coarse = replace(problem, n=here.shape[-1], resolution=None, solver=solver)

        def job(coarse: Elliptic = coarse, here: Tensor = here) -> Tensor:
            u = coarse.solve(here).u
            return resampled(u.movedim(1, -1), coarse.grid, problem.grid.shape, OUTWARD).movedim(-1, 1)

        name = type(solver).__name__.lower()
        close = f" to {solver.tolerance:g}" if isinstance(solver, Multigrid) else ""
        yield Candidate(f"{name}{close}, {coarse.n} nodes an axis", job)


def seconds(job: Job, least: float) -> float:
    """The median of calls, at least five and so many seconds of them."""
    job()
    times: list[float] = []
    while len(times) < 5 or sum(times) < least:
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def fastest(case: Case, allowed: float, least: float) -> tuple[float, float, str]:
    """Seconds, error and name of the solver that is within the error and quickest: of each family the first that is
    within it."""
    best = (inf, inf, "none is as accurate")
    for family in case.families:
        for candidate in family:
            found = error(candidate.job(), case.truth)
            if found <= allowed:
                best = min(best, (seconds(candidate.job, least), found, candidate.name))
                break
    return best


SEED = 123_456  # of samples that no surrogate has seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="as pdeops.load takes it")
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 16], help="solved and predicted at once")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="of calls for each figure")
    options = parser.parse_args()
    print("| surrogate | job | samples | its error | its ms | solver at that error | its error | its ms | ratio |")
    print(f"|{'---|' * 9}", flush=True)
    for source in options.sources:
        with running(pdeops.load(source), threads=options.threads) as surrogate, torch.no_grad():
            for samples in options.samples:
                print(f"| {source} | {row(surrogate, samples, options.seconds)} |", flush=True)


def row(surrogate: pdeops.Surrogate, samples: int, least: float) -> str:
    problem: Any = surrogate.problem
    if isinstance(problem, Evolution):
        case = evolving(surrogate, problem, samples)
    elif isinstance(problem, Elliptic):
        case = steady(surrogate, problem, samples)
    else:
        return "neither an evolution on a torus nor a steady problem by finite volumes" + " |" * 7
    own, mine = error(case.predict(), case.truth), seconds(case.predict, least)
    theirs, reached, name = fastest(case, own, least)
    cells = case.what, samples, f"{own:.3g}", f"{1e3 * mine:.3g}", name, f"{reached:.3g}", f"{1e3 * theirs:.3g}"
    return " | ".join(map(str, (*cells, f"{theirs / mine:.2g}")))


if __name__ == "__main__":
    main()
