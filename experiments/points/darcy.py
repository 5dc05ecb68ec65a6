"""An LSM of scattered points, trained on a thousand places of each sample, asked at others and at all of them.

    python experiments/points/darcy.py [--points 1000] [--epochs 20] [--samples 600] [--threads 1]

Darcy flow with a log-normal coefficient on a square, solved on 65^2 nodes with both ends. Each sample is known at so
many of the nodes, drawn for it alone, the same ones in all epochs. Relative L2 errors (means of 64 test samples, their
places drawn too): given and asked at other numbers of places, and asked at all nodes. Beside it, an LSM that is given
all nodes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pdeops.memory import keep_freed
from pdeops.models.lsm import LSM
from pdeops.models.point_lsm import PointLSM
from pdeops.points import Points
from pdeops.problems.coefficients import LogNormal, NeumannMatern
from pdeops.problems.darcy import Darcy

N, TEST, BATCH, WIDTH = 65, 64, 8, 16
Predict = Callable[[Tensor], tuple[Tensor, Tensor]]  # samples -> prediction, truth


def relative(u: Tensor, truth: Tensor) -> Tensor:
    return ((u - truth).flatten(1).norm(dim=1) / truth.flatten(1).norm(dim=1)).mean()


def drawn(samples: int, count: int) -> Tensor:
    """(samples, count) nodes of each sample."""
    return torch.stack([torch.randperm(N * N)[:count] for _ in range(samples)])


def train(model: nn.Module, predict: Predict, samples: Tensor, epochs: int) -> float:
    """Seconds taken."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    steps = -(-len(samples) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, epochs * steps)
    start = time.perf_counter()
    for _ in tqdm(range(epochs), type(model).__name__):
        for batch in samples[torch.randperm(len(samples))].split(BATCH):
            optimizer.zero_grad()
            relative(*predict(batch)).backward()
            optimizer.step()
            schedule.step()
    return time.perf_counter() - start


def tested(model: nn.Module, predict: Predict) -> float:
    model.eval()
    with torch.no_grad():
        return float(sum(relative(*predict(batch)) for batch in torch.arange(TEST).split(BATCH)) / (TEST // BATCH))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--samples", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    if not 4 <= options.points <= N * N // 2 or min(options.epochs, options.samples, options.threads) < 1:
        parser.error(f"wanted 4 to {N * N // 2} points, and at least one epoch, sample and thread")
    torch.set_num_threads(options.threads)
    keep_freed()
    problem = Darcy(n=N, permeability=LogNormal(of=NeumannMatern(), standardise=True))
    a = problem.sample(range(TEST + options.samples), 0)
    u = torch.cat([torch.as_tensor(problem.solve(x).u) for x in a.split(64)]).float()
    a, u = ((a - a.mean()) / a.std()).float().flatten(2), (u / u.std()).flatten(2)
    nodes = problem.grid.points().float().flatten(0, 1)
    training = torch.arange(TEST, len(a))

    def at(field: Tensor, samples: Tensor, which: Tensor) -> Tensor:
        return field[samples].gather(2, which.unsqueeze(1))

    def scattered(which: Tensor, everywhere: bool = False) -> Predict:
        def predict(samples: Tensor) -> tuple[Tensor, Tensor]:
            own = which[samples]
            out = Points(nodes) if everywhere else None
            found = points_model.at(at(a, samples, own), Points(nodes[own]), out)
            return found, u[samples] if everywhere else at(u, samples, own)

        return predict

    def on_lattice(samples: Tensor) -> tuple[Tensor, Tensor]:
        return lattice_model(a[samples].unflatten(2, (N, N))).flatten(2), u[samples]

    torch.manual_seed(0)
    points_model = PointLSM(1, 1, problem.grid, problem.grid, width=WIDTH)
    lattice_model = LSM(1, 1, problem.grid, problem.grid, width=WIDTH)
    print("| model | given at | asked at | relative L2 |\n|---|---|---|---|")
    own = drawn(len(a), options.points)
    seconds = {"PointLSM": train(points_model, scattered(own), training, options.epochs)}
    for count in (options.points // 4, options.points // 2, options.points, 2 * options.points, N * N):
        which = own if count == options.points else drawn(len(a), count)
        print(f"| PointLSM | {count} points | the same | {tested(points_model, scattered(which)):.4f} |")
    print(f"| PointLSM | {options.points} points | all {N * N} | {tested(points_model, scattered(own, True)):.4f} |")
    seconds["LSM"] = train(lattice_model, on_lattice, training, options.epochs)
    print(f"| LSM | {N} x {N} nodes | the same | {tested(lattice_model, on_lattice):.4f} |")
    for model, name in ((points_model, "PointLSM"), (lattice_model, "LSM")):
        print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters, {seconds[name]:.0f} s of training")


if __name__ == "__main__":
    main()
