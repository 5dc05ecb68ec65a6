"""ETDRK4 on Burgers and Kuramoto-Sivashinsky: ours against exponax's, compiled, in one process.

    python experiments/bench/etdrk.py [--threads 1]

Both in float64, on the same n nodes with the same step and the same rule against aliasing (modes up to n / 3), from the
same fields; exponax's batch is a vmap inside a compiled scan, warmed up. `floor` is the time of the real transforms
alone that a step needs (eight). Medians of interleaved repeats. Without exponax (pip install exponax) its side is
skipped.
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable

import numpy as np
import torch
from timing import medians

from pdeops.grid import Grid
from pdeops.problems.burgers1d import Burgers1D
from pdeops.problems.evolution import Evolution
from pdeops.problems.inputs import PeriodicKernel
from pdeops.problems.kuramoto_sivashinsky import KuramotoSivashinsky
from pdeops.solvers.schemes import SCHEMES

STEPS = 100
CASES: dict[str, tuple[type[Evolution], dict[str, float], float]] = {
    "burgers": (Burgers1D, {"viscosity": 0.01}, 1e-3),
    "kuramoto-sivashinsky": (KuramotoSivashinsky, {"length": 64.0}, 0.05),
}


def ours(problem: Evolution, u: torch.Tensor, dt: float) -> Callable[[], torch.Tensor]:
    """STEPS steps from values u (B, 1, n) on a lattice; the values at their end."""
    basis = problem.basis(problem.solved_on)
    step = SCHEMES["etdrk4"].prepare(problem.linear(basis, u), dt, torch.complex128)
    tendency = problem.nonlinear(basis, u)
    size = problem.chunk(u)

    def run() -> torch.Tensor:
        done = []
        for c in basis.to_modes(u).split(size):
            for _ in range(STEPS):
                c = step(c, 0.0, lambda c, t: tendency(c))
            done.append(basis.to_values(c, Grid.periodic((u.shape[-1],), problem.length)))
        return torch.cat(done)

    return run


def theirs(name: str, problem: Evolution, u: torch.Tensor, dt: float) -> Callable[[], object] | None:
    try:
        import exponax as ex
        import jax
    except ImportError:
        return None
    jax.config.update("jax_enable_x64", True)
    n, settings = u.shape[-1], {"dt": dt, "order": 4, "dealiasing_fraction": 2 / 3}
    if name == "burgers":
        stepper = ex.stepper.Burgers(1, problem.length, n, diffusivity=0.01, **settings)
    else:
        stepper = ex.stepper.KuramotoSivashinskyConservative(1, problem.length, n, **settings)
    run = jax.jit(jax.vmap(ex.repeat(stepper, STEPS)))
    start = jax.numpy.asarray(u.numpy())
    return lambda: run(start).block_until_ready()


def transforms(u: torch.Tensor, c: torch.Tensor, times: int) -> None:
    """A real transform there and back, so many times."""
    for _ in range(times):
        torch.fft.rfft(u)
        torch.fft.irfft(c)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    if options.threads == 1:  # XLA's own threads
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(options.threads)
    print(f"{platform.processor() or platform.machine()}, {options.threads} thread(s), torch {torch.__version__}")
    print(
        "microseconds per step of the batch\n"
        f"{'equation':<22}{'n':>6}{'batch':>6}{'ours':>9}{'floor':>9}{'exponax':>9}{'ratio':>7}{'difference':>12}"
    )
    for name, (cls, settings, dt) in CASES.items():
        for n, held in ((256, 170), (1024, 682)):
            for batch in (1, 64):
                problem = cls(n=held, **settings)  # our basis for 2/3 of the nodes lives on a lattice of n
                assert problem.basis(problem.solved_on).shape == (n,)
                u = PeriodicKernel(width=0.3)(Grid.periodic((n,), problem.length), range(batch), 0)
                mine, other = ours(problem, u, dt), theirs(name, problem, u, dt)
                part = u[: problem.chunk(u)]
                c = torch.fft.rfft(part)
                times = STEPS * -(-batch // len(part))
                jobs = [mine, lambda: transforms(part, c, times)]  # noqa: B023
                seconds = medians(options.repeats, *jobs, *([other] if other else []))
                micro = [1e6 * seconds[0] / STEPS, 4e6 * seconds[1] / STEPS]
                row = f"{name:<22}{n:>6}{batch:>6}{micro[0]:>9.0f}{micro[1]:>9.0f}"
                if other:
                    v = torch.from_numpy(np.asarray(other()))
                    difference = float((mine() - v).norm() / v.norm())
                    row += f"{1e6 * seconds[2] / STEPS:>9.0f}{seconds[2] / seconds[0]:>7.2f}{difference:>12.1e}"
                print(row, flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
