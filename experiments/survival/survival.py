"""A training run that is stopped and killed again and again, and gone on with, beside an unbroken one.

    python experiments/survival/survival.py [--deaths 4] [--epochs 16] [--seed 0] [--figure curves.png]

Both are the same command, an FNO on small Navier-Stokes flows. One is sent SIGTERM and SIGKILL in turns, at moments
drawn by --seed after it has made some checkpoints of its own, and started again with ckpt_path=auto. Then the logged
curves and the weights are compared, and drawn on each other.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import pdeops
from pdeops.report.canvas import pyplot, save
from pdeops.tasks.storage import LAST, PREVIOUS

TRAIN = [sys.executable, str(Path(pdeops.__file__).parents[1] / "train.py"), "data=ns2d", "trainer=cpu", "data.n=24"]
TRAIN += ["problem.n=16", "problem.horizon=4.0", "problem.frames=8", "problem.solver.dt=0.05", "data.window.n_in=2"]
TRAIN += ["data.batch_size=2", "model=fno", "model.width=8", "model.modes=6", "model.depth=2"]

Curves = dict[str, dict[int, float]]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Their lines are seen as they come by whoever reads log.txt."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (folder.parent / f"{folder.name}.txt").open("a") as log:
        command = [*TRAIN, *words, f"hydra.run.dir={folder}"]
        return subprocess.Popen(command, cwd=folder.parent, env=environment, stdout=log, stderr=log, text=True)


def curves(folder: Path) -> Curves:
    """Column -> epoch -> value; what was logged twice, before a death and after it, must be the same."""
    found: Curves = {}
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                if name.startswith(("train/loss", "val/")) and text:
                    value = found.setdefault(name, {}).setdefault(int(row["epoch"]), float(text))
                    assert value == float(text), (name, row["epoch"], value, text)
    return found


def stamp(path: Path) -> int:
    """When it was written, in nanoseconds."""
    return path.stat().st_mtime_ns if path.exists() else 0


def steps(folder: Path) -> int:
    """Of its last checkpoint."""
    paths = [folder / "checkpoints" / name for name in (LAST, PREVIOUS)]
    return torch.load(next(path for path in paths if path.exists()), weights_only=True)["global_step"]


def wait_for_another(path: Path, before: int, process: subprocess.Popen[str]) -> int:
    while (now := stamp(path)) in (before, 0):  # for a moment there is `previous.ckpt` alone
        time.sleep(0.005)
        assert process.poll() is None, "it ended before its death: give it more --epochs"
    return now


def broken(folder: Path, words: list[str], deaths: int, rng: random.Random) -> list[tuple[int, str]]:
    """Run until the end; of each death the steps that stay, and the signal."""
    last, told = folder / "checkpoints" / LAST, []
    for death in range(deaths):
        made = stamp(last)
        process = start(folder, *words, "ckpt_path=auto")
        for _ in range(rng.randint(2, 4)):
            before, made = made, wait_for_another(last, made, process)
        time.sleep(rng.random() * min((made - before) / 1e9, 10))  # as long as an epoch takes here
        number = (signal.SIGTERM, signal.SIGKILL)[death % 2]
        process.send_signal(number)
        status = process.wait()
        assert status in (os.EX_TEMPFAIL, -signal.SIGKILL), f"it ended by itself ({status}): give it more --epochs"
        told.append((steps(folder), number.name))
        print(f"{number.name}: it goes on after {steps(folder)} steps", flush=True)
    assert start(folder, *words, "ckpt_path=auto").wait() == 0
    return told


def draw(whole: Curves, parts: Curves, deaths: list[tuple[float, str]], path: Path) -> None:
    """deaths: in epochs."""
    figure, ax = pyplot().subplots(figsize=(6.4, 4), layout="constrained")
    for name, colour in (("train/loss", "C0"), ("val/relative_l2", "C1")):
        done = [i + 1 for i in whole[name]]
        unbroken = {"color": colour, "lw": 4, "alpha": 0.35, "label": f"{name}, unbroken"}
        ax.semilogy(done, list(whole[name].values()), "-", **unbroken)
        ax.semilogy(done, list(parts[name].values()), "k.-", lw=0.8, ms=4)
    ax.plot([], [], "k.-", lw=0.8, label="stopped, killed and resumed")
    for epoch, name in deaths:
        ax.axvline(epoch, color="0.6", ls=":" if name == "SIGTERM" else "--", lw=1)
    ax.plot([], [], color="0.6", ls=":", label="SIGTERM")
    ax.plot([], [], color="0.6", ls="--", label="SIGKILL")
    ax.set_xlabel("epoch")
    ax.legend()
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deaths", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path, default=Path(__file__).with_name("curves.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, other = Path(folder) / "unbroken", Path(folder) / "broken"
        words = [f"trainer.max_epochs={options.epochs}"]
        assert start(one, *words).wait() == 0, (Path(folder) / "unbroken.txt").read_text()
        deaths = broken(other, words, options.deaths, random.Random(options.seed))
        whole, parts = curves(one), curves(other)
        assert {name: set(c) for name, c in whole.items()} == {name: set(c) for name, c in parts.items()}
        largest = max(abs(whole[name][i] - parts[name][i]) for name in whole for i in whole[name])
        count = sum(map(len, whole.values()))
        print(f"{len(deaths)} deaths; largest difference of {count} logged values: {largest:g}")
        a, b = (pdeops.load(run / "surrogate").state_dict() for run in (one, other))
        apart = max(float((a[k] - b[k]).abs().max()) for k in a)
        print(f"largest difference of {len(a)} tensors of weights: {apart:g}")
        each = steps(one) / options.epochs
        draw(whole, parts, [(count / each, name) for count, name in deaths], options.figure)


if __name__ == "__main__":
    main()
