"""Mean and deviation over the runs of each sweep: python experiments/table.py SWEEP [SWEEP ...] [--metric NAME]

A sweep is the folder that `python train.py -m ...` leaves (runs/multirun/<time>).
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweeps", type=Path, nargs="+")
    parser.add_argument("--metric", default="test/relative_l2")
    options = parser.parse_args()
    for sweep in options.sweeps:
        files = sorted(sweep.glob("*/metrics.json"))
        values = [json.loads(f.read_text())[options.metric] for f in files]
        if len(values) < 2:
            print(f"{sweep}: {len(values)} finished runs, no deviation")
            continue
        mean, deviation = statistics.mean(values), statistics.stdev(values)
        extremes = f"from {min(values):.4f} to {max(values):.4f}"
        print(f"{sweep}: {options.metric} {mean:.4f} +- {deviation:.4f} over {len(values)} runs, {extremes}")


if __name__ == "__main__":
    main()
