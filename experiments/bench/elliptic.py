"""Elliptic systems of one pattern, per sample: pdeops' default solver beside other people's, in one process.

    python experiments/bench/elliptic.py [case ...] [--samples 8] [--repeats 5] [--petsc python3] [--device cuda]

Ours: from the coefficients to solutions, faces, set-up and all, a batch at once. Theirs: from the assembled matrix,
symbolic phases reused, one by one. One thread each (set OMP_NUM_THREADS=1). All true residuals are checked; direct
solvers cannot stop at the tolerance. --device: ours on a GPU as well, `--batch` samples at once. --petsc: a Python
that has petsc4py; it runs as a process of its own on the same matrices. Medians of interleaved repeats; ratios above
1 are in our favour.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from peers import installed
from scipy import sparse

from pdeops.memory import keep_freed
from pdeops.problems.coefficients import LogNormal, NeumannMatern, TwoPhase
from pdeops.problems.convection_diffusion import ConvectionDiffusion
from pdeops.problems.darcy import Darcy, Darcy3D
from pdeops.problems.elliptic import Elliptic
from pdeops.problems.helmholtz import Helmholtz
from pdeops.solvers.auto import Auto
from pdeops.solvers.systems import LinearSolver

FIELD = NeumannMatern(tau=3.0, alpha=2.0, amplitude=3.0)
ROUGH = NeumannMatern(tau=3.0, alpha=2.5)
LAWS = {"ln": LogNormal(of=FIELD, standardise=True), "pc": TwoPhase(of=FIELD, high=12.0, low=3.0)}
LOG_NORMAL_3D = LogNormal(of=ROUGH, standardise=True)

CASES: dict[str, Elliptic] = {
    f"{law} {n}^2": Darcy(n=n + 2, permeability=LAWS[law]) for n in (63, 127, 239, 255) for law in LAWS
}
CASES |= {f"ln {n}^3": Darcy3D(n=n + 2, permeability=LOG_NORMAL_3D) for n in (32, 64)}
CASES |= {
    "helmholtz 100^2": Helmholtz(n=102, frequency=52.0 * 20, sides="dirichlet"),
    "helmholtz absorbing 100^2": Helmholtz(n=100, frequency=52.0 * 20, sides="absorbing"),
    "convection-diffusion 100^2": ConvectionDiffusion(n=102),
}


def run(
    name: str, problem: Elliptic, samples: int, repeats: int, petsc: str | None, device: str | None, batch: int
) -> None:
    grid, rtol = problem.solved_on, problem.solver.tolerance
    a = problem.sample(range(samples), 0)
    systems = problem.systems(a, grid)
    solver, _ = Auto(rtol).settled(systems[:4])
    matrices = [systems.operator.matrix(i) for i in range(samples)]
    rhs = [b.flatten().numpy() for b in systems.b]
    big = systems.operator.size > 100_000
    peers = installed(matrices[0], systems.definite)
    if big:  # factors in three dimensions: minutes and gigabytes
        peers = {k: v for k, v in peers.items() if k not in ("SuperLU", "SuperLU as spsolve has it", "CHOLMOD")}
    times: dict[str, list[float]] = {"ours": [], **{k: [] for k in peers}}
    worst = dict.fromkeys(times, 0.0)

    def ours() -> torch.Tensor:
        return solver.solve(problem.systems(a, grid)).residual

    ours()
    for repeat in range(repeats):
        start = time.perf_counter()
        residual = ours()
        times["ours"].append((time.perf_counter() - start) / samples)
        worst["ours"] = max(worst["ours"], float(residual.max()))
        for k, solve in peers.items():
            A, b = matrices[repeat % samples], rhs[repeat % samples]
            start = time.perf_counter()
            x = solve(A, b)
            times[k].append(time.perf_counter() - start)
            worst[k] = max(worst[k], float(np.linalg.norm(b - A @ x) / np.linalg.norm(b)))
    median = {k: statistics.median(v) for k, v in times.items()}
    if petsc:
        for k, (seconds, left) in in_petsc(petsc, matrices[:3], rhs[:3], rtol, systems.definite).items():
            median[k], worst[k] = seconds, left
    if device:
        median[f"ours on {device}"] = elsewhere(problem, solver, a, device, batch, repeats)
    mine = median.pop("ours")
    print(
        f"| {name} | {type(solver).__name__} {1e3 * mine:.3g} | "
        + " | ".join(f"{k} {1e3 * t:.3g} (**{t / mine:.3g}**, {worst.get(k, rtol):.0e})" for k, t in median.items())
        + f" | {worst['ours']:.0e} |",
        flush=True,
    )


def elsewhere(problem: Elliptic, solver: LinearSolver, a: torch.Tensor, device: str, batch: int, repeats: int) -> float:
    """Median seconds per sample of ours on another device; the solutions are compared with those here."""
    many = a.repeat(-(-batch // len(a)), *(1,) * (a.ndim - 1))[:batch].to(device)
    here = solver.solve(problem.systems(a, problem.solved_on)).x
    seconds = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize()
        start = time.perf_counter()
        x = solver.solve(problem.systems(many, problem.solved_on)).x
        torch.cuda.synchronize()
        seconds.append((time.perf_counter() - start) / batch)
    gap = float((x[: len(a)].cpu() - here).abs().max() / here.abs().max())
    print(f"{device}: the solutions differ from those of the CPU by {gap:.1e}")
    return statistics.median(seconds[1:])


def in_petsc(python: str, matrices: list[sparse.csr_array], rhs: list, rtol: float, definite: bool) -> dict:
    """Median seconds and worst true residuals of PETSc's solvers, from a process of that interpreter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "systems.npz"
        parts = {f"{key}{i}": getattr(A, key) for i, A in enumerate(matrices) for key in ("indptr", "indices", "data")}
        np.savez(path, **parts, **{f"b{i}": b for i, b in enumerate(rhs)})
        script = Path(__file__).with_name("petsc.py")
        done = subprocess.run(
            [python, str(script), str(path), str(rtol), str(int(definite))], capture_output=True, text=True, check=False
        )
    if done.returncode:
        print(f"petsc4py was not to be used: {done.stderr.strip().splitlines()[-1]}")
        return {}
    return json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="case", help=", ".join(CASES))
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", help="such as cuda: ours there as well")
    parser.add_argument("--batch", type=int, default=256, help="samples at once on that device")
    parser.add_argument("--petsc", metavar="PYTHON", help="an interpreter that has petsc4py")
    arguments = parser.parse_args()
    unknown = [c for c in arguments.cases if c not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]!r}; there are: {', '.join(CASES)}")
    torch.set_num_threads(1)
    keep_freed()  # as a generation does
    print(
        f"# {platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, 1 thread"
    )
    print("| systems | ours, ms per sample | others, ms (ratio to ours, worst residual) | our worst residual |")
    for case in arguments.cases:
        run(case, CASES[case], arguments.samples, arguments.repeats, arguments.petsc, arguments.device, arguments.batch)


if __name__ == "__main__":
    main()
