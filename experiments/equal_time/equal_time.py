"""Errors after the same processor time of training, of attention beside an FNO, a DeepONet and the official codes.

    python experiments/equal_time/equal_time.py DATA MODEL ... [--seconds 300] [--seed 0] [--rate RATE]
        [--peer PATH] [--threads 1] [--csv FILE]

DATA, of which the code has the configurations: 1000 training samples each. Batches of 8, Adam with weight decay 1e-5,
single precision; the rate rises over the first tenth of the time and falls along a cosine, each model's highest in
`MODELS`. Only steps count as time. --peer: a checkout of EdoardoCalvello/TransformerNeuralOperators; without, its rows
are skipped. Theirs get what ours get: normalised fields, loss, conditions on walls; sizes are ours, dropout is off.
Relative errors on the test samples, after the last step.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterator
from math import cos, pi
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "fno_benchmark"))
from attention import Case, theirs
from setting import configuration, prepared

from pdeops.app import reported
from pdeops.data.dataset import Windows
from pdeops.memory import keep_freed
from pdeops.tasks.fit import Fit
from pdeops.window import Batch

COMMON = ("name=equal_time", "optimizer=adam", "optimizer.weight_decay=1e-5")
SAMPLES = ("data.n=1250", "data.split=[0.8,0.04,0.16]")
FUNCTIONS = ("loss=l2", *SAMPLES)  # of one variable
SPACE_TIME = ("loss=l2", "data.window.history=time", *SAMPLES)
DATA = {
    # log-normal Darcy flow on 64 x 64 cells
    "darcy": ("experiment=darcy_lognormal", "problem.n=64", "problem.resolution=null", "problem.nodes=cell"),
    # the same of two phases
    "darcy_two_phase": ("experiment=darcy_two_phase", "problem.n=64", "problem.resolution=null", "problem.nodes=cell"),
    # Navier-Stokes at viscosity 1e-3 on a 64 x 64 torus, one step of one time unit, 1280 pairs
    "ns2d": (
        *("data=ns2d", "problem.initial.amplitude=6.0861", "problem.horizon=20", "problem.frames=20"),
        *("data.n=80", "data.window.n_in=1", "loss=h1"),
    ),
    # Kolmogorov flow on a 64 x 64 torus, a tenth of a time unit ahead, 1280 pairs
    "kolmogorov": (
        "data=kolmogorov",
        "problem.horizon=7",
        "problem.frames=20",
        "data.n=80",
        "data.window.n_in=1",
        "loss=h1",
    ),
    "pendulum": ("data=pendulum", *FUNCTIONS),
    "controlled_ode": ("data=controlled_ode", *FUNCTIONS),
    "lorenz63": ("data=lorenz63", *FUNCTIONS),
    # all later frames at once, as functions of time and space (of an FNO: in its channels)
    "advection1d": ("data=advection1d", "data.window.n_out=40", *SPACE_TIME),
    "diffusion_reaction": ("data=diffusion_reaction", "data.window.n_out=99", *SPACE_TIME),
}
BATCH, WARM = 8, 0.1


class Model(NamedTuple):
    """The highest rate, and our configuration; an official model's is that of what it stands in for."""

    rate: float
    overrides: tuple[str, ...]
    official: str = ""


MODELS = {
    "fno": Model(4e-3, ("model=fno", "model.width=32", "model.modes=24")),
    "fno_small": Model(4e-3, ("model=fno", "model.width=20", "model.modes=12")),
    "fno_frames": Model(4e-3, ("model=fno", "data.window.history=channel")),
    "vitno": Model(4e-3, ("model=vitno",)),
    "fano": Model(4e-3, ("model=fano",)),
    "latent_transformer": Model(2e-3, ("model=latent_transformer",)),
    "tno": Model(1e-3, ("model=tno", "model.depth=4")),
    "deeponet": Model(1e-3, ("model=deeponet",)),
    "deeponet_convolutional": Model(1e-3, ("model=deeponet", "branch@model.branch=convolutional")),
    "pod_deeponet": Model(1e-3, ("model=pod_deeponet",)),
    "official_vitno": Model(1e-3, ("model=vitno",), "ViTNO"),
    "official_fano": Model(1e-3, ("model=fano",), "FANO"),
}


class Official(nn.Module):
    """Theirs, with our signature."""

    def __init__(self, name: str, n: int, peer: str) -> None:
        super().__init__()
        self.inner = theirs(Case(name, n), peer)
        line = torch.linspace(0, 1, n)
        self.register_buffer("x", torch.stack(torch.meshgrid(line, line, indexing="ij")))

    def forward(self, a: Tensor, out: None = None) -> Tensor:
        return self.inner(a[:, 0], None, self.x).view_as(a)


def batches(data: Any) -> Iterator[Batch]:
    """Training pairs in random orders, forever."""
    windows = Windows(data.fields("train"), data.window)
    while True:
        for indices in torch.randperm(len(windows)).split(BATCH):
            yield windows.__getitems__(indices.tolist())


def factor(done: float) -> float:
    """Of the highest rate."""
    return done / WARM if done < WARM else (1 + cos(pi * (done - WARM) / (1 - WARM))) / 2


def train(task: Fit, data: Any, rate: float, seconds: float, name: str) -> int:
    """Steps taken within so many seconds of the processor."""
    optimizer = task.optimizer(task.surrogate.parameters())
    spent, steps = 0.0, 0
    with tqdm(total=round(seconds), desc=name, unit="s", disable=None) as bar:
        for batch in batches(data):
            begun = time.process_time()
            for group in optimizer.param_groups:
                group["lr"] = rate * factor(spent / seconds)
            optimizer.zero_grad()
            task.loss(task.surrogate(batch.a), batch).backward()
            optimizer.step()
            steps += 1
            spent += time.process_time() - begun
            bar.update(round(spent) - bar.n)
            if spent >= seconds:
                return steps
    raise AssertionError("batches never end")


@torch.no_grad()
def tested(task: Fit, data: Any) -> dict[str, float]:
    task.eval()
    windows = Windows(data.fields("test"), data.window)
    found = {"relative_l2": 0.0, "relative_h1": 0.0}
    for indices in torch.arange(len(windows)).split(BATCH):
        batch = windows.__getitems__(indices.tolist())
        truth, u = data.window.unstack(batch.u), data.window.unstack(task.surrogate(batch.a))
        for key, value in task.scores.panel(u, truth).items():
            if key in found:
                found[key] += float(value.sum())
    return {key: value / len(windows) for key, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=DATA)
    parser.add_argument("models", nargs="+", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, help="the highest one, of all models")
    parser.add_argument("--peer", help="a checkout of EdoardoCalvello/TransformerNeuralOperators")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    unknown = [name for name in options.models if name not in MODELS]
    if unknown or options.seconds <= 0 or options.threads < 1:
        parser.error(f"{unknown or options}: wanted models of {list(MODELS)}, seconds > 0, threads >= 1")
    if options.peer and not Path(options.peer, "models").is_dir():
        parser.error(f"--peer {options.peer}: no checkout of TransformerNeuralOperators there")
    torch.set_num_threads(options.threads)
    keep_freed()
    print("| model | parameters | rate | steps | test relative L2 | test relative H1 |\n|---|---|---|---|---|---|")
    for name in options.models:
        model = MODELS[name]
        if model.official and not options.peer:
            print(f"{name}: skipped, no --peer", flush=True)
            continue
        task, data = prepared(configuration(*COMMON, *DATA[options.data], *model.overrides, f"seed={options.seed}"))
        if model.official:
            torch.manual_seed(options.seed)
            task.surrogate.model = Official(model.official, data.window.grid_in.shape[0], options.peer)
        rate = options.rate or model.rate
        steps = train(task, data, rate, options.seconds, name)
        sizes = sum(p.numel() * (2 if p.is_complex() else 1) for p in task.surrogate.model.parameters())
        errors = tested(task, data)
        found = {"model": name, "parameters": sizes, "rate": rate, "steps": steps, **errors}
        l2, h1 = (f"{errors[key]:.4f}" for key in ("relative_l2", "relative_h1"))
        print(f"| {name} | {sizes:,} | {rate:g} | {steps} | {l2} | {h1} |", flush=True)
        if options.csv:
            new = not options.csv.exists()
            with options.csv.open("a", newline="") as file:
                writer = csv.DictWriter(file, ["data", "seconds", "seed", *found])
                if new:
                    writer.writeheader()
                writer.writerow({"data": options.data, "seconds": options.seconds, "seed": options.seed, **found})


if __name__ == "__main__":
    sys.exit(reported(main))
