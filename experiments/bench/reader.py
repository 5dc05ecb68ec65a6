"""Samples per second of our reader and of The Well's, on the same file, in one process.

    python experiments/bench/reader.py [--file FILE] [--reads 100000]

Both read windows (one frame in, one out) at the same random places; the tensors are compared first. Without
the package `the_well` (pip install the_well --no-deps, einops, fsspec) its side is skipped. `--reads` windows
are then read by ours, and the growth of the process's memory is printed.
"""

from __future__ import annotations

import argparse
import platform
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from pdeops.data.dataset import Fields, Windows
from pdeops.data.file import DataFile
from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid
from pdeops.window import Window

SAMPLES, REPEATS = 300, 5


def make_file(folder: Path) -> Path:
    """32 trajectories of 50 frames, 64 x 64, three fields."""
    rng = np.random.default_rng(0)
    grid = Grid((Axis("time", 50, 49.0, "uniform"), *Grid.periodic((64, 64))))
    fields = {name: rng.standard_normal((32, *grid.shape), dtype=np.float32) for name in ("u", "v", "w")}
    return write_arrays(folder / "flow.h5", grid, targets=fields, codes=[0] * 30 + [1] * 2)


def seconds(read: Callable[[int], object], indices: list[int]) -> float:
    start = time.perf_counter()
    for i in indices:
        read(i)
    return (time.perf_counter() - start) / len(indices)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="a data file of trajectories (default: one is made)")
    parser.add_argument("--reads", type=int, default=100_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or make_file(Path(folder))
        file = DataFile(path)
        window = Window().on(file.spec.grid, file.targets, file.inputs)
        ours = Windows(Fields(file, np.arange(file.n)), window)
        print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {path.name}: {file.spec.grid}")
        compare(ours, path, Path(folder))
        drift(ours, options.reads)


def compare(ours: Windows, path: Path, folder: Path) -> None:
    try:
        from the_well.data import WellDataset
    except ImportError:
        print("the_well is not installed: its side is skipped")
        return
    inside = folder / "well"
    inside.mkdir()
    (inside / "flow.hdf5").symlink_to(path.resolve())
    theirs = WellDataset(path=str(inside), n_steps_input=1, n_steps_output=1)
    assert len(theirs) == len(ours)
    rng = random.Random(0)
    for i in rng.sample(range(len(ours)), 20):
        mine, well = ours[i], theirs[i]
        assert torch.equal(mine.a, well["input_fields"][0].movedim(-1, 0))
        assert torch.equal(mine.u, well["output_fields"][0].movedim(-1, 0))
    print("tensors are equal")
    times: dict[str, list[float]] = {"ours": [], "the_well": []}
    for _ in range(REPEATS):
        indices = [rng.randrange(len(ours)) for _ in range(SAMPLES)]
        times["ours"].append(seconds(ours.__getitem__, indices))
        times["the_well"].append(seconds(theirs.__getitem__, indices))
    mine, well = (statistics.median(times[k]) for k in ("ours", "the_well"))
    print(
        f"ours {1e3 * mine:.3f} ms/sample, The Well {1e3 * well:.3f} ms/sample: "
        f"{well / mine:.1f} times the samples per second"
    )


def drift(ours: Windows, reads: int) -> None:
    rng, page = random.Random(1), 2**20

    def resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / page

    for _ in range(2000):
        ours[rng.randrange(len(ours))]
    before = resident()
    for _ in range(reads):
        ours[rng.randrange(len(ours))]
    print(f"{reads} reads: resident memory {before:.1f} -> {resident():.1f} MiB")


if __name__ == "__main__":
    main()
