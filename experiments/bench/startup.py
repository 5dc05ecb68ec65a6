"""How long `pdeops --help` takes beyond Python's own start: medians of alternating runs.

python experiments/bench/startup.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 11
COMMANDS = {"python": ["-c", "pass"], "pdeops --help": ["-m", "pdeops", "--help"]}


def seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> None:
    times = {name: [seconds(arguments)] for name, arguments in COMMANDS.items()}  # a first run each, to warm the disk
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    plain, ours = (statistics.median(t[1:]) for t in times.values())
    print(f"python {plain:.3f} s, pdeops --help {ours:.3f} s: {ours - plain:.3f} s more")


if __name__ == "__main__":
    main()
