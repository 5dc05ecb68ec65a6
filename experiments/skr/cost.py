"""What choosing and sorting cost beside the solves that they serve: python experiments/skr/cost.py [--count 1000]"""

from __future__ import annotations

import argparse
import time

import torch

from pdeops.memory import keep_freed
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.problems.darcy import Darcy
from pdeops.solvers.sequences import GCRODR, RMINRES

SOLVED = 32  # samples by which the time of all is estimated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="samples of the data set")
    count = parser.parse_args().count
    torch.set_num_threads(1)
    keep_freed()
    law = LogNormal(of=NeumannMatern(tau=3.0, alpha=2.0, amplitude=3.0), standardise=True)
    for solver in (GCRODR(1e-5), RMINRES(1e-5)):
        problem = Darcy(n=65, permeability=law, solver=solver)
        marks = [time.perf_counter()]
        settled, reason = problem.settled(range(count), 0)
        marks.append(time.perf_counter())
        order = settled.order(range(count), 0)
        marks.append(time.perf_counter())
        a = settled.sample(order[:SOLVED], 0)
        start = time.perf_counter()
        settled.solve(a)
        all_solves = (time.perf_counter() - start) / SOLVED * count
        choosing, sorting = marks[1] - marks[0], marks[2] - marks[1]
        share = 100 * (choosing + sorting) / all_solves
        print(f"{type(solver).__name__}: {reason}")
        print(f"  choosing {choosing:.2f} s, sorting {sorting:.2f} s, solving about {all_solves:.0f} s: {share:.1f} %")


if __name__ == "__main__":
    main()
