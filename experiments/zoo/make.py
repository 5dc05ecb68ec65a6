"""Train members of the zoo by their recipes, and put them with their cards into the package.

    python experiments/zoo/make.py                      # all that conf/experiment/zoo has
    python experiments/zoo/make.py ns2d-fno ns2d-sfno   # these
    python experiments/zoo/make.py --table              # what is there, as the table of this folder's README

A run that is finished is not trained again: remove runs/zoo/NAME to do so. One that was stopped goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from pdeops.cards.bundle import bundle
from pdeops.errors import InputError, did_you_mean
from pdeops.overrides import shipped
from pdeops.report.runs import read
from pdeops.sources import zoo

RUNS = Path("runs") / "zoo"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table())
        return
    recipes = sorted(path.stem for path in shipped("conf").glob("experiment/zoo/*.yaml"))
    for name in options.names:
        if name not in recipes:
            raise InputError(f"there is no recipe conf/experiment/zoo/{name}.yaml. {did_you_mean(name, recipes)}")
    for name in options.names or recipes:
        make(name)


def make(name: str) -> None:
    """Train where that is not done, then replace the member."""
    run = RUNS / name
    if read(run) is None:
        words = [f"experiment=zoo/{name}", f"hydra.run.dir={run}", "ckpt_path=auto"]
        subprocess.run([sys.executable, str(shipped("train.py")), *words], check=True)
    before = _error(name) if name in zoo.names() else None
    bundle(run, zoo.FOLDER / name, name)
    told = "new" if before is None else f"replaces one of {before:.4g}"
    print(f"{name}: error {_error(name):.4g} ({told}), in {zoo.FOLDER / name}")


def _error(name: str) -> float:
    return zoo.card(name)["test"]["metrics"]["relative_l2"]


def table() -> str:
    """Markdown."""
    lines = ["| name | model | parameters | test error: mean | 95 % | roll-outs: mean | below 10 % to | seconds |"]
    lines.append("|" + "---|" * 8)
    for name in zoo.names():
        card = zoo.card(name)
        test, metrics, curve = card["test"], card["test"]["metrics"], card["test"]["curve"]
        rolled = metrics.get("rollout/relative_l2")
        until = "" if curve is None else f"t = {curve['good_until']:g}" + (" (end)" if curve["ends_first"] else "")
        cells = [
            f"[{name}](../../pdeops/zoo/{name}/README.md)",
            card["model"]["class"],
            f"{card['model']['parameters']:,}",
            f"{metrics['relative_l2']:.2g}",
            f"{test['quantiles']['relative_l2']['0.95']:.2g}",
            "" if rolled is None else f"{rolled:.2g}",
            until,
            str(card["training"]["seconds"]),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
