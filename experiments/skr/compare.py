"""Recycling Krylov subspaces for data generation, redone on correctly assembled systems.

    python experiments/skr/compare.py [--families "darcy log-normal" ...] [--sizes 50 100 256] [--tolerances 1e-5 1e-8]
        [--preconditioners none jacobi sor ilu multigrid] [--count 24] [--budget 20] [--out rows.csv]

Every row is one method on one sequence: products with the operator (those of recycled spaces and of true residuals
included), steps, and milliseconds per system, preconditioner set-up and sorting included; medians and means over the
systems that were solved within the budget of seconds. Rows that are in the file already are not done again. One
thread (set OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from families import FAMILIES, MISLABELLED, Plain, Sequence, draw
from scipy.sparse.linalg import LinearOperator, gcrotmk, gmres
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from peers import installed

from pdeops.errors import InputError
from pdeops.memory import keep_freed
from pdeops.solvers import sorting
from pdeops.solvers.auto import Auto
from pdeops.solvers.preconditioners import ILU, SOR, Cycle, Jacobi, Preconditioner
from pdeops.solvers.sequences import CG, GCRODR, GMRES, MINRES, RMINRES, Krylov

HEADER = (
    *("family", "n", "unknowns", "tolerance", "preconditioner", "method", "solved", "of", "products", "products_mean"),
    *("steps", "ms", "ms_mean", "worst_residual"),
)
PRECONDITIONERS: dict[str, Preconditioner | None] = {
    "none": None,
    "jacobi": Jacobi(),
    "sor": SOR(),
    "ilu": ILU(),
    "multigrid": Cycle(),
}
FEWEST = 4  # systems solved, whatever the budget

Row = dict[str, object]
Outcome = tuple[np.ndarray, int, int]  # x, products with the operator, steps


def krylov(solver: Krylov) -> Callable[[], Callable[[Sequence, int], Outcome]]:
    def begin() -> Callable[[Sequence, int], Outcome]:
        step = solver.begin()

        def solve(s: Sequence, i: int) -> Outcome:
            operator = Plain(s.matrices[i]) if s.systems is None else s.systems.operator[[i]]
            M = solver.preconditioner.of(operator) if solver.preconditioner else None
            out = step(s.matrices[i], s.rhs[i], M)
            return out.x, out.applications, out.iterations

        return solve

    return begin


def scipys(tolerance: float, M: Preconditioner | None) -> Callable[[], Callable[[Sequence, int], Outcome]]:
    """SciPy's gcrotmk(20, 20), the vectors carried over."""

    def begin() -> Callable[[Sequence, int], Outcome]:
        carried: list = []

        def solve(s: Sequence, i: int) -> Outcome:
            A, products = s.matrices[i], 0
            operator = Plain(A) if s.systems is None else s.systems.operator[[i]]

            def product(v: np.ndarray) -> np.ndarray:
                nonlocal products
                products += 1
                return A @ v

            counted = LinearOperator(A.shape, matvec=product, dtype=A.dtype)
            inverse = LinearOperator(A.shape, matvec=M.of(operator), dtype=A.dtype) if M else None
            x, _ = gcrotmk(
                counted, s.rhs[i], rtol=tolerance, m=20, k=20, CU=carried, discard_C=True, M=inverse, maxiter=500
            )
            return x, products, products

        return solve

    return begin


def scipys_gmres(tolerance: float) -> Callable[[], Callable[[Sequence, int], Outcome]]:
    """SciPy's gmres, which does not look whether it stagnates: the published baseline, its cap on steps included."""

    def solve(s: Sequence, i: int) -> Outcome:
        products = 0

        def product(v: np.ndarray) -> np.ndarray:
            nonlocal products
            products += 1
            return s.matrices[i] @ v

        counted = LinearOperator(s.matrices[i].shape, matvec=product, dtype=float)
        x, _ = gmres(counted, s.rhs[i], rtol=tolerance, restart=40, maxiter=250)
        return x, products, products

    return lambda: solve


def direct(solve: Callable) -> Callable[[], Callable[[Sequence, int], Outcome]]:
    return lambda: lambda s, i: (solve(s.matrices[i], s.rhs[i]), 0, 0)


def methods(s: Sequence, tolerance: float, preconditioner: str) -> Iterator[tuple[str, bool, Callable]]:
    """name, whether the systems come sorted, and what begins a sequence."""
    M = PRECONDITIONERS[preconditioner]
    yield "gmres(40)", False, krylov(GMRES(tolerance, M))
    yield "gcrodr cold", False, krylov(GCRODR(tolerance, M, recycle=False))
    yield "gcrodr recycled, unsorted", False, krylov(GCRODR(tolerance, M, recycle=True))
    yield "gcrodr recycled, sorted", True, krylov(GCRODR(tolerance, M, recycle=True))
    yield "scipy gcrotmk recycled, sorted", True, scipys(tolerance, M)
    if s.systems is None and preconditioner == "none":
        yield "scipy gmres(40), to 10,000 steps", False, scipys_gmres(tolerance)
    symmetric = s.systems is not None and s.systems.operator.symmetric
    if symmetric and (preconditioner in ("none", "jacobi") or (s.definite and preconditioner != "ilu")):
        if s.definite:
            yield "cg", False, krylov(CG(tolerance, M))
        if s.definite or preconditioner == "none":
            yield "minres", False, krylov(MINRES(tolerance, M))
            yield "rminres recycled, sorted", True, krylov(RMINRES(tolerance, M, recycle=True))
    if preconditioner == "none":
        for name, solve in installed(s.matrices[0], s.definite).items():
            yield name, False, direct(solve)


def run(s: Sequence, row: Row, is_sorted: bool, begin: Callable, tolerance: float, budget: float) -> Row:
    order, sorting_time = list(range(len(s.rhs))), 0.0
    if is_sorted:
        start = time.perf_counter()
        order = list(sorting.greedy(s.features))
        sorting_time = (time.perf_counter() - start) / len(order)
    solve, times, products, steps, worst, missed = begin(), [], [], [], 0.0, 0
    began = time.perf_counter()
    for i in order:
        start = time.perf_counter()
        try:
            x, count, taken = solve(s, i)
        except InputError:  # no factors for a preconditioner
            x, count, taken = np.zeros_like(s.rhs[i]), 0, 0
        times.append(time.perf_counter() - start + sorting_time)
        left = np.linalg.norm(s.rhs[i] - s.matrices[i] @ x) / np.linalg.norm(s.rhs[i])
        missed += left > tolerance * 1.001
        worst = max(worst, float(left))
        products.append(count)
        steps.append(taken)
        if time.perf_counter() - began > budget and len(times) >= FEWEST:
            break
    return row | {
        "solved": len(times) - missed,
        "of": len(times),
        "products": statistics.median(products),
        "products_mean": round(statistics.mean(products), 1),
        "steps": statistics.median(steps),
        "ms": round(1e3 * statistics.median(times), 3),
        "ms_mean": round(1e3 * statistics.mean(times), 3),
        "worst_residual": f"{worst:.1e}",
    }


def ours(s: Sequence, row: Row, tolerance: float) -> Row:
    """The solver that `auto` chooses, on the whole sequence at once."""
    assert s.systems is not None
    solver, _ = Auto(tolerance).settled(s.systems[:6])
    solver.solve(s.systems[:6])
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        solves = solver.solve(s.systems)
        seconds.append((time.perf_counter() - start) / len(s.rhs))
    good = int((solves.residual <= tolerance).sum())
    return row | {
        "method": f"auto: {type(solver).__name__.lower()}",
        "solved": good,
        "of": len(s.rhs),
        "products": float(solves.applications.double().median()),
        "products_mean": round(float(solves.applications.double().mean()), 1),
        "steps": float(solves.iterations.double().median()),
        "ms": round(1e3 * statistics.median(seconds), 3),
        "ms_mean": round(1e3 * statistics.mean(seconds), 3),
        "worst_residual": f"{float(solves.residual.max()):.1e}",
    }


def main() -> None:
    families = [*FAMILIES, MISLABELLED]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--families", nargs="+", default=families, choices=families, metavar="FAMILY", help=", ".join(families)
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[50])
    parser.add_argument("--tolerances", nargs="+", type=float, default=[1e-3, 1e-5, 1e-8, 1e-11])
    parser.add_argument("--preconditioners", nargs="+", default=list(PRECONDITIONERS), choices=PRECONDITIONERS)
    parser.add_argument("--methods", nargs="+", help="only those whose name contains one of these words")
    parser.add_argument("--count", type=int, default=24, help="systems of a sequence")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for a row, of at least four systems")
    parser.add_argument("--out", type=Path, default=Path("rows.csv"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed()
    done: set[tuple[str, ...]] = set()
    if arguments.out.exists():
        with arguments.out.open() as f:
            done = {
                tuple(r[k] for k in ("family", "n", "tolerance", "preconditioner", "method")) for r in csv.DictReader(f)
            }
    with arguments.out.open("a", newline="") as f:
        writer = csv.DictWriter(f, HEADER)
        if not f.tell():
            writer.writeheader()

        def write(row: Row) -> None:
            writer.writerow(row)
            f.flush()
            tqdm.write(" ".join(str(row[k]) for k in (*HEADER[:2], *HEADER[3:6], "products_mean", "ms")))

        cases = [
            (family, n, tolerance)
            for family in arguments.families
            for n in arguments.sizes
            for tolerance in arguments.tolerances
        ]
        for family, n, tolerance in tqdm(cases, disable=not sys.stderr.isatty()):
            s = draw(family, n, arguments.count)
            base = {"family": family, "n": n, "unknowns": s.unknowns, "tolerance": f"{tolerance:g}"}
            place = (family, str(n), f"{tolerance:g}")
            row = base | {"preconditioner": "auto", "method": "auto"}
            wanted = not arguments.methods or any(word in "auto" for word in arguments.methods)
            if wanted and s.systems is not None and not any(d[:4] == (*place, "auto") for d in done):
                write(ours(s, row, tolerance))
            for name in arguments.preconditioners:
                if (family == MISLABELLED and name == "multigrid") or (name == "multigrid" and not s.definite):
                    continue
                for method, is_sorted, begin in methods(s, tolerance, name):
                    if (*place, name, method) in done:
                        continue
                    if arguments.methods and not any(word in method for word in arguments.methods):
                        continue
                    row = base | {"preconditioner": name, "method": method}
                    write(run(s, row, is_sorted, begin, tolerance, arguments.budget))


if __name__ == "__main__":
    main()
