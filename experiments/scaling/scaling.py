"""Weak scaling by ranks of one machine: the data path, and an FNO of fields that are dealt in space.

    python experiments/scaling/scaling.py data [--worlds 1 2 4] [--seconds 3]
    python experiments/scaling/scaling.py space [--worlds 1 2 4] [--steps 5]

data: every rank reads its share of the same file in batches, from memory and from the file. space: every rank has as
many nodes, whatever their number; of a training step the time, the processor's time of a rank, and the bytes that a
rank sends, counted in torch's collectives and by a formula.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.utils._python_dispatch import TorchDispatchMode

from pdeops.data.dataset import Fields, Windows, as_is
from pdeops.data.file import DataFile
from pdeops.data.loader import Loader
from pdeops.data.sampler import Ordered
from pdeops.data.schema import write_arrays
from pdeops.grid import Axis, Grid
from pdeops.models.fno import FNO
from pdeops.spatial.fno import DistributedFNO
from pdeops.spatial.loss import DistributedRelativeL2
from pdeops.window import Batch, Window

BATCH, NODES, WIDTH, MODES, DEPTH = 2, 128, 32, 16, 4  # of space: 128 x 128 nodes to a rank


def make_file(folder: Path) -> Path:
    """64 trajectories of 20 frames, 64 x 64, one field: 20 MiB, in the system's cache after the first reading."""
    grid = Grid((Axis("time", 20, 19.0, "uniform"), *Grid.periodic((64, 64))))
    values = np.random.default_rng(0).standard_normal((64, *grid.shape), dtype=np.float32)
    return write_arrays(folder / "flow.h5", grid, targets={"u": values}, codes=[0] * 64)


def samples_per_second(rank: int, world: int, path: Path, seconds: float) -> dict[str, float]:
    file = DataFile(path)
    window = Window().on(file.spec.grid, file.targets, file.inputs)
    found = {}
    for cache in ("memory", "none"):
        fields = Fields(file, np.arange(file.n))
        dataset = Windows(fields.hold(torch.device("cpu")) if cache == "memory" else fields, window)
        sampler = Ordered(range(len(dataset)), world, rank, shuffle=True)  # type: ignore[arg-type]
        loader = Loader(dataset, batch_size=16, sampler=sampler, collate_fn=as_is)  # type: ignore[arg-type]
        for batch in loader:  # an epoch that is not counted
            assert batch.a.shape[1:] == (1, 64, 64)
        dist.barrier()
        samples, start, start_cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() < start + seconds:
            samples += sum(len(batch.a) for batch in loader)
        found[cache] = samples / (time.perf_counter() - start)
        found[f"{cache} by processor"] = samples / (time.process_time() - start_cpu)
    return found


class Sent(TorchDispatchMode):
    """Bytes that this rank sends in collectives, were they rings: (P - 1) / P of what is gathered or scattered."""

    def __init__(self, world: int) -> None:
        super().__init__()
        self.share, self.bytes = (world - 1) / world, 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.name()
        if name.startswith(("_c10d_functional::reduce_scatter", "_c10d_functional::all_gather")):
            self.bytes += self.share * max(_size(args[0]), _size(out))
        elif name.startswith("c10d::allreduce"):
            self.bytes += 2 * self.share * sum(_size(t) for t in args[0])
        elif name.startswith(("c10d::", "_c10d_functional::")) and "wait" not in name and "wrap" not in name:
            raise NotImplementedError(f"a collective that is not counted: {name}")
        return out


def _size(t: Tensor) -> int:
    return t.numel() * t.element_size()


def formula(model: DistributedFNO, world: int) -> float:
    """4 bytes (P - 1) / P (4 depth 2 B k_1 k_2 C + 2 (p + 2 B)): per block coefficients are scattered and gathered,
    forwards and backwards; gradients of the p weights that all have, and two norms of B samples, are summed."""
    coefficients = 2 * BATCH * MODES * (MODES // 2 + 1) * WIDTH
    replicated = sum(p.numel() for name, p in model.named_parameters() if not name.endswith("spectral.weight.tensor"))
    return 4 * (world - 1) / world * (4 * DEPTH * coefficients + 2 * (replicated + 2 * BATCH))


def training_steps(rank: int, world: int, steps: int) -> dict[str, float]:
    mesh = init_device_mesh("cpu", (world,))
    grid = Grid.periodic((NODES * world, NODES))
    torch.manual_seed(0)
    model = DistributedFNO(FNO(1, 1, grid, grid, width=WIDTH, modes=MODES, depth=DEPTH), mesh)
    loss, optimizer = DistributedRelativeL2(grid, mesh), torch.optim.Adam(model.parameters())
    batch = Batch(torch.randn(BATCH, 1, NODES, NODES), torch.randn(BATCH, 1, NODES, NODES))

    def step() -> None:
        optimizer.zero_grad()
        loss(model(batch.a), batch).backward()
        model.reduce_gradients()
        optimizer.step()

    step()
    with Sent(world) as sent:
        step()
    times = []
    for _ in range(steps):
        dist.barrier()
        start, start_cpu = time.perf_counter(), time.process_time()
        step()
        times.append((time.perf_counter() - start, time.process_time() - start_cpu))
    wall, cpu = (1e3 * statistics.median(column) for column in zip(*times, strict=True))
    held = sum(p.numel() for p in model.parameters())
    return {"ms": wall, "cpu_ms": cpu, "sent": sent.bytes, "formula": formula(model, world), "parameters": held}


def on_ranks(world: int, function: Callable[..., dict[str, float]], *arguments: Any) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        given = world, port, folder, function, arguments
        mp.start_processes(_rank, given, nprocs=world, start_method="fork")  # nothing is imported again
        return [torch.load(Path(folder) / f"{rank}.pt") for rank in range(world)]


def _rank(rank: int, world: int, port: int, folder: str, function: Any, arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(world)}
    dist.init_process_group("gloo")
    torch.save(function(rank, world, *arguments), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["data", "space"])
    parser.add_argument("--worlds", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--steps", type=int, default=5)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, one thread a rank")
    if options.what == "data":
        with tempfile.TemporaryDirectory() as folder:
            path = make_file(Path(folder))
            megabytes = 2 * 4 * prod((64, 64)) / 1e6  # of a sample, in and out
            for world in options.worlds:
                found = on_ranks(world, samples_per_second, path, options.seconds)
                for cache in ("memory", "none"):
                    rates, by_processor = ([rank[key] for rank in found] for key in (cache, f"{cache} by processor"))
                    print(
                        f"{world} ranks, cache={cache}: {statistics.mean(rates):.0f} samples/s a rank, "
                        f"{sum(rates):.0f} together, {megabytes * sum(rates):.0f} MB/s; "
                        f"{statistics.mean(by_processor):.0f} for a second of a rank's processor"
                    )
        return
    for world in options.worlds:
        found = on_ranks(world, training_steps, options.steps)
        wall, cpu = (statistics.mean(rank[name] for rank in found) for name in ("ms", "cpu_ms"))
        first = found[0]
        print(
            f"{world} ranks, {NODES * world} x {NODES} nodes: {wall:.0f} ms a step, {cpu:.0f} of a rank's processor; "
            f"sent by a rank {first['sent']:.0f} bytes, by the formula {first['formula']:.0f}; "
            f"{first['parameters']:.0f} parameters in the first"
        )


if __name__ == "__main__":
    main()
