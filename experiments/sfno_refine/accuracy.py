"""SFNO beside torch-cfd's after the same epochs: true relative L2 errors on held-out windows, seed by seed.

    python experiments/sfno_refine/accuracy.py [--peer PATH] [--models ours torch-cfd] [--seeds 0 1 2] [--epochs 10]
        [--lr MODEL=RATE] [--split test] [--rows FILE.csv] [OVERRIDE ...]

--peer: a checkout of torch-cfd; without, its side is skipped. The data are those of `experiment=sfno_ns2d` (with
further overrides, Hydra's): ten frames in, forty out. An epoch is one window of every training trajectory, from a
random frame on, as in torch-cfd's recipe; for one seed both models see the same windows in the same order. Both:
relative L2 loss, Adam, one cycle of learning rates, batches of 4. Theirs: rate, cycle (from 1/1000 of it, to 1e-7 of
it), sizes and unnormalised fields as in its own experiment on these equations. Rows that FILE.csv has already are not
computed again.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).resolve().parents[1] / "fno_benchmark"))
from setting import configuration

from pdeops import training
from pdeops.data.dataset import Windows
from pdeops.memory import keep_freed
from pdeops.norms import Lp, relative_error

RATES = {"ours": 1e-2, "torch-cfd": 1e-2}
CYCLES: dict[str, dict[str, float]] = {"ours": {}, "torch-cfd": {"div_factor": 1e3, "final_div_factor": 1e4}}
TESTED = 4  # windows of each trajectory, from its first frames to its last
COLUMNS = ("model", "seed", "epochs", "lr", "split", "relative_l2", "worst", "frozen", "parameters", "seconds", "more")


class TorchCFD(nn.Module):
    """Their network, (B, 1, T, x, y) in and out."""

    def __init__(self, peer: str, n_out: int) -> None:
        super().__init__()
        sys.path.insert(0, peer)
        from fno.sfno import SFNO

        self.net = SFNO(12, 12, 5, 20, beta=1e-2, output_steps=n_out)

    def forward(self, a: Tensor) -> Tensor:
        return self.net(a[:, 0].movedim(1, -1)).movedim(-1, 1)[:, None]


def windows(data: Any, split: str, starts: list[int]) -> tuple[Tensor, Tensor]:
    """One window of every trajectory."""
    found = Windows(data.fields(split), data.window)
    a, u, *_ = found.__getitems__([i * found.starts + start for i, start in enumerate(starts)])
    assert u is not None
    return a, u


def trained(name: str, seed: int, options: argparse.Namespace, config: dict[str, Any], data: Any) -> nn.Module:
    torch.manual_seed(seed)
    task = training.make_task(config, data, None)
    model = task.surrogate if name == "ours" else TorchCFD(options.peer, data.window.n_out)
    draw, norm = torch.Generator().manual_seed(seed), Lp(data.window.grid_out)
    count, latest = len(data.fields("train").samples), data.window.starts(data.window.bound[0].n)
    batches = count // options.batch
    adam = torch.optim.Adam(model.parameters(), lr=options.lr[name], fused=True)
    steps = options.epochs * batches
    cycle = torch.optim.lr_scheduler.OneCycleLR(adam, options.lr[name], total_steps=steps, **CYCLES[name])
    for epoch in range(options.epochs):
        order = torch.randperm(count, generator=draw)
        a, u = windows(data, "train", torch.randint(latest, (count,), generator=draw).tolist())
        total, begin = 0.0, time.perf_counter()
        for rows in order[: batches * options.batch].split(options.batch):
            adam.zero_grad()
            loss = relative_error(model(a[rows]), u[rows], norm).mean()
            loss.backward()
            adam.step()
            cycle.step()
            total += float(loss.detach()) / batches
        print(f"{name}, seed {seed}, epoch {epoch + 1}: {total:.4f}, {time.perf_counter() - begin:.0f} s", flush=True)
    return model


@torch.no_grad()
def errors(model: nn.Module, split: str, data: Any) -> tuple[Tensor, Tensor]:
    """Of every tested window, the model's and that of its last frame."""
    norm, own, frozen = Lp(data.window.grid_out), [], []
    for start in torch.linspace(0, data.window.starts(data.window.bound[0].n) - 1, TESTED).long().tolist():
        a, u = windows(data, split, [start] * len(data.fields(split).samples))
        for x, v in zip(a.split(4), u.split(4), strict=True):
            own.append(relative_error(model(x), v, norm))
            frozen.append(relative_error(x[:, :, -1:].expand_as(v), v, norm))
    return torch.cat(own), torch.cat(frozen)


def rate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--peer")
    parser.add_argument("--models", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--lr", nargs="+", type=rate, default=[])
    parser.add_argument("--split", default="test", choices=("validation", "test"))
    parser.add_argument("--rows", type=Path, default=Path(__file__).with_name("accuracy.csv"))
    options = parser.parse_args()
    options.lr = RATES | dict(options.lr)
    keep_freed()
    config = configuration("experiment=sfno_ns2d", *options.overrides)
    data = training.data_module(config)
    data.open()
    for seed in options.seeds:
        for name in options.models if options.peer else ["ours"]:
            key = (name, seed, options.epochs, options.lr[name], options.split)
            run(key, options, config, data)


def run(key: tuple[Any, ...], options: argparse.Namespace, config: dict[str, Any], data: Any) -> None:
    """Train, test and write a row, unless there is one."""
    known = list(csv.reader(options.rows.open())) if options.rows.exists() else []
    more = " ".join(options.overrides) if key[0] == "ours" else ""
    if any(row[: len(key)] == [str(k) for k in key] and row[-1] == more for row in known):
        return
    begin = time.process_time()
    model = trained(key[0], key[1], options, config, data)
    seconds = time.process_time() - begin
    own, frozen = errors(model, options.split, data)
    count = sum(p.numel() for p in model.parameters())
    told = [f"{x:.5f}" for x in (own.mean(), own.max(), frozen.mean())]
    print(
        f"{key}: relative L2 {told[0]} (the last frame alone: {told[2]}), {seconds:.0f} processor seconds", flush=True
    )
    temporary = options.rows.with_suffix(".tmp")
    with temporary.open("w", newline="") as file:
        csv.writer(file).writerows([*(known or [COLUMNS]), [*key, *told, count, f"{seconds:.0f}", more]])
    os.replace(temporary, options.rows)


if __name__ == "__main__":
    main()
