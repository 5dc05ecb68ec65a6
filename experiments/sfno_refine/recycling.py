"""Products with the linearised operator that refinement takes, with and without what earlier Newton steps and samples
leave: python experiments/sfno_refine/recycling.py

Windows of the `forced` setting of `reliability`, from starts that are wrong by 10 % (another window's motion) and from
frozen ones (the last known frame), to an estimated error of 1e-6: by GMRES, and by GCRO-DR with spaces of 10 and 20
vectors, kept across the Newton steps of a sample or across samples as well. Prints the products of each sample.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from reliability import KNOWN, SETTINGS, fields
from torch import Tensor

from pdeops.problems.ns2d import NavierStokes2D
from pdeops.refinement.newton import Refined, newton_krylov
from pdeops.solvers.krylov import RecycleSpace
from pdeops.solvers.krylov.system import System

STARTS = {"10 % wrong": "drift, 10.0%", "frozen": "frozen"}


class Few(RecycleSpace):
    """A space of at most k vectors, whatever the solver would keep."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def carried(self, system: System, most: int) -> tuple[Tensor, Tensor]:
        return super().carried(system, min(most, self.k))

    def keep(self, system: System, U: Tensor, images: Tensor, dropped: int, *, most: int, **rest: Any) -> None:
        super().keep(system, U[: self.k], images[: self.k], dropped, most=min(most, self.k), **rest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--setting", choices=SETTINGS, default="forced")
    parser.add_argument("--samples", type=int, default=6, help="at least two")
    options = parser.parse_args()
    problem = NavierStokes2D(**SETTINGS[options.setting])
    u = problem.solve(problem.sample(range(options.samples), 0)).u
    candidates = fields(problem, u)

    def refined(start: Tensor, space: RecycleSpace | None = None) -> Refined:
        return newton_krylov(problem, start[:, :, 0], start, problem.grid, KNOWN, recycle=space)

    print("| start | solver | kept across | products of each sample | all | for images | true error, at most | s |")
    print("|---|---|---|---|---|---|---|---|")
    for title, name in STARTS.items():
        start = torch.cat([u[:, :, :KNOWN], candidates[name][:, :, KNOWN:]], dim=2)
        for k, across in ((0, "nothing"), (10, "steps"), (10, "samples"), (20, "steps"), (20, "samples")):
            spaces = [Few(k) if k else None]
            if across == "steps":
                spaces = [Few(k) for _ in range(options.samples)]
            begin = time.perf_counter()
            found = [refined(start[i : i + 1], spaces[i % len(spaces)]) for i in range(options.samples)]
            spent = time.perf_counter() - begin
            error = max(float((x.u[0] - v).norm() / v[:, KNOWN:].norm()) for x, v in zip(found, u, strict=True))
            products = [int(x.iterations) for x in found]
            images = sum(space.applications for space in spaces if space)
            cells = [title, f"GCRO-DR, k = {k}" if k else "GMRES", across, ", ".join(map(str, products))]
            print(f"| {' | '.join(cells)} | {sum(products)} | {images} | {error:.1e} | {spent:.0f} |", flush=True)


if __name__ == "__main__":
    main()
