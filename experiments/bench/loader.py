"""Samples per second of the training loader, by where the data are and who reads them.

    python experiments/bench/loader.py [--seconds 3]

Batches of 16 windows (one frame in, one out) of 30 trajectories of 50 frames, 64 x 64, three fields, in random order,
each looked at once, as a step that takes no time would. Every loader has an epoch before it is timed; the file is in
the system's cache then.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import torch
from reader import make_file

from pdeops.data.module import Cache, DataModule

CASES: list[tuple[Cache, int]] = [("memory", 0), ("none", 0), ("none", 1), ("none", 2)]


def rates(path: Path, cache: Cache, workers: int, seconds: float) -> tuple[float, float, float]:
    """Samples and bytes per second, and seconds of this process's processor per second."""
    data = DataModule(file=path, cache=cache, workers=workers)
    data.open()
    loader = data.train_dataloader()
    for _ in loader:
        pass
    samples, size, start, start_cpu = 0, 0, time.perf_counter(), time.process_time()
    while time.perf_counter() < start + seconds:
        for batch in loader:
            samples, size = samples + len(batch.a), size + batch.a.nbytes + batch.u.nbytes
    elapsed = time.perf_counter() - start
    return samples / elapsed, size / elapsed, (time.process_time() - start_cpu) / elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        path = make_file(Path(folder))
        for cache, workers in CASES:
            samples, size, busy = rates(path, cache, workers, options.seconds)
            print(
                f"data.cache={cache} data.workers={workers}: {samples:.0f} samples/s, {size / 1e6:.0f} MB/s; "
                f"{samples / busy:.0f} for a second of the main process's processor"
            )


if __name__ == "__main__":
    main()
