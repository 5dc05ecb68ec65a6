"""What moves the error of operators learned without solutions: norm, basis, architecture, scale, one at a time.

    python experiments/nsm/ablation.py [--runs runs/nsm_ablation] [--seed 0] [--steps 300] [--lines]

Poisson's equation between walls on 17 x 17 chebyshev nodes (`experiment=nsm_poisson`), width 24, depth 4, all modes, 8
fresh inputs a step, Adam along one cycle. Trains what is not there yet, one run after another, each a process of its
own of half a minute, and prints the table. --lines: print their commands instead, for a queue; --steps: of each run.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

from pdeops.report.runs import read

ROOT = Path(__file__).resolve().parents[2]
COMMON = ("experiment=nsm_poisson", "problem.n=17", "model.width=24", "data.batch_size=8", "trainer=cpu", "logger=csv")
RATE, SLOW = 4e-3, 1e-3  # the highest of the cycle; of the published formulations
PUBLISHED = 0.022  # 1e-3 in physical units, the published scale of outputs


class Row(NamedTuple):
    architecture: str
    basis: str
    norm: str
    scale: str
    overrides: tuple[str, ...]

    @property
    def folder(self) -> str:
        return re.sub(r"[^\w.-]+", "_", "-".join(self[:4]))  # a command line reads commas as a sweep's


def rows() -> list[Row]:
    """Norm and basis of ours; then other architectures, each in two norms; then the scale of outputs."""
    found = []
    ours = ("model.nodes=17", "model.modes=17", f"optimizer.lr={RATE}")
    for basis, s in product(("eigen", "chebyshev"), ("-2", "-1", "0", "coefficients")):
        found.append(Row("NSM", basis, _norm(s), "equation", (*ours, f"model.basis={basis}", f"loss.s={s}")))
    inverse = "model.head=inverse_laplacian"
    found.append(Row("NSM, inverse in the head", "eigen", "H^-1", "equation", (*ours, inverse, "loss.s=-1")))
    spectral = ("model=nsm_poisson/fno", "model.padding=0", "model.modes=17", f"optimizer.lr={RATE}")
    for basis, s in product(("eigen", "chebyshev"), ("-1", "coefficients")):
        found.append(Row("FNO", basis, _norm(s), "equation", (*spectral, f"model.basis={basis}", f"loss.s={s}")))
    grid = ("experiment=nsm_poisson_grid", "problem.n=33", "model.modes=17", f"optimizer.lr={RATE}")
    for s in ("-1", "0"):
        found.append(Row("FNO, 5-point on 33 x 33", "fourier", _norm(s), "equation", (*grid, f"loss.s={s}")))
    for name, model in (("published NSM", "nsm_published"), ("SNO", "sno")):
        theirs = (f"model=nsm_poisson/{model}", "model.modes=17", f"optimizer.lr={SLOW}")
        for scale, s in product((PUBLISHED, 1.0), ("coefficients", "-1")):
            told = "equation" if scale == 1 else "1e-3"
            found.append(Row(name, "chebyshev", _norm(s), told, (*theirs, f"model.scale={scale}", f"loss.s={s}")))
    return found


def _norm(s: str) -> str:
    return s if s == "coefficients" else "L2" if s == "0" else f"H^{s}"


def command(row: Row, folder: Path, seed: int, steps: int) -> list[str]:
    overrides = {word.partition("=")[0]: word for word in (*COMMON, *row.overrides)}  # later ones count
    length = (f"data.fresh={steps}", "trainer.max_epochs=1", f"seed={seed}")
    return [sys.executable, str(ROOT / "train.py"), *overrides.values(), *length, f"hydra.run.dir={folder}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/nsm_ablation"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lines", action="store_true")
    options = parser.parse_args()
    folders = {row: options.runs / f"{row.folder}-{options.seed}" for row in rows()}
    wanted = {row: command(row, folder, options.seed, options.steps) for row, folder in folders.items()}
    if options.lines:
        print("\n".join(shlex.join(words) for words in wanted.values()))
        return
    print("| architecture | basis | norm | scale | relative L2 | seconds |\n|---|---|---|---|---|---|", flush=True)
    for row, folder in folders.items():
        if read(folder) is None:
            subprocess.run(wanted[row], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        run = read(folder)
        assert run is not None
        print(
            f"| {' | '.join(row[:4])} | {run.metrics['test/relative_l2']:.4f} | {run.seconds_per_epoch:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
