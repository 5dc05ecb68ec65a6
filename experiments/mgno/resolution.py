"""MgNO trained on one lattice and asked on others, in each of its three ways, with an FNO beside it.

    python experiments/mgno/resolution.py [--coefficient log-normal] [--epochs 20] [--samples 600] [--threads 1]

Darcy flow on squares with nodes on both ends, solved on 257^2 nodes; every lattice holds the same solutions at its
nodes. Models are trained on 33^2 and tested on 17^2, 33^2, 65^2 and 129^2: relative L2 errors, means of 64 test
samples. "interpolated truth": the solutions themselves, from 33^2 to the lattice, which bounds what `resample` can do.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor, nn

from pdeops.grid import Grid
from pdeops.memory import keep_freed
from pdeops.models.fno import FNO
from pdeops.models.mgno import OUTWARD, MgNO
from pdeops.nn.resample import resampled
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.problems.darcy import Darcy

SIZES, TRAINED, FINE, TEST, BATCH = (17, 33, 65, 129), 33, 257, 64, 8


def data(coefficient: str, n: int) -> tuple[Grid, Tensor, Tensor]:
    """The grid, a and u of n samples on the finest lattice asked."""
    options = {"permeability": LogNormal(of=NeumannMatern(), standardise=True)} if coefficient == "log-normal" else {}
    problem = Darcy(n=FINE, **options)
    a = problem.sample(range(n), 0)
    u = torch.cat([torch.as_tensor(problem.solve(x).u) for x in a.split(64)])
    coarse = (FINE - 1) // (SIZES[-1] - 1)
    a, u = (x[..., ::coarse, ::coarse].float() for x in (a, u))
    return problem.grid.resized((SIZES[-1],) * 2), (a - a.mean()) / a.std(), u / u.std()


def on(x: Tensor, n: int) -> Tensor:
    step = (x.shape[-1] - 1) // (n - 1)
    return x[..., ::step, ::step]


def error(u: Tensor, truth: Tensor) -> Tensor:
    return ((u - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean()


def train(model: nn.Module, a: Tensor, u: Tensor, epochs: int) -> float:
    """Seconds taken."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    steps = -(-len(a) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * steps)
    start = time.perf_counter()
    for _ in range(epochs):
        for batch in torch.randperm(len(a)).split(BATCH):
            optimizer.zero_grad()
            error(model(a[batch]), u[batch]).backward()
            optimizer.step()
            schedule.step()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coefficient", default="two-phase", choices=("two-phase", "log-normal"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed()
    grid, a, u = data(options.coefficient, options.samples + TEST)
    torch.manual_seed(0)
    own = grid.resized((TRAINED, TRAINED))
    models = {
        "MgNO": MgNO(1, 1, own, own, width=16, levels=5),
        "FNO": FNO(1, 1, own, own, width=24, modes=12, padding=0.125),
    }
    print("| model | " + " | ".join(f"{n}^2" for n in SIZES) + " |\n|" + "---|" * (1 + len(SIZES)))
    truth = [resampled(on(u[:TEST], TRAINED).movedim(1, -1), own, (n, n), OUTWARD).movedim(-1, 1) for n in SIZES]
    row("interpolated truth", truth, u)
    for name, model in models.items():
        seconds = train(model, on(a[TEST:], TRAINED), on(u[TEST:], TRAINED), options.epochs)
        count = sum(p.numel() for p in model.parameters())
        print(f"{name}: {count:,} parameters, {seconds:.0f} s of training", flush=True)
        for way in ("native", "resample", "cascade") if isinstance(model, MgNO) else ("",):
            if isinstance(model, MgNO):
                model.resolution = way
            with torch.no_grad():
                row(f"{name} {way}".strip(), [model(on(a[:TEST], n)) for n in SIZES], u)


def row(name: str, found: list[Tensor], u: Tensor) -> None:
    told = " | ".join(f"{error(x, on(u[:TEST], n)):.4f}" for x, n in zip(found, SIZES, strict=True))
    print(f"| {name} | {told} |", flush=True)


if __name__ == "__main__":
    main()
