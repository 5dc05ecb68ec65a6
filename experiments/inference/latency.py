"""Seconds from an input to a prediction, in physical units both ways: eager, compiled, and as exported programs.

    python experiments/inference/latency.py SOURCE [SOURCE ...] [--ways eager compile aoti onnx] [--batches 1 8 64]

Each way, number of threads and batch in turn; median and 95th percentile of single calls, and samples a second. Making
a program (compiling, exporting) is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

import pdeops
from pdeops.inference import export, running

Call = Callable[[Tensor], object]
LEAST = 40  # calls: the 95th percentile is that of at least two


@contextmanager
def ready(way: str, surrogate: pdeops.Surrogate, threads: int, folder: Path) -> Iterator[Call]:
    """What answers an input; programs are exported once and found again."""
    with running(surrogate, threads=threads, compile=way == "compile") as here:
        match way:
            case "eager" | "compile":
                yield here.predict
            case "aoti":
                yield torch._inductor.aoti_load_package(str(program(surrogate, folder / "program.aoti.pt2")))
            case "onnx":
                yield session(program(surrogate, folder / "program.onnx"), threads)


def program(surrogate: pdeops.Surrogate, path: Path) -> Path:
    return path if path.exists() else export(surrogate, path).path


def session(path: Path, threads: int) -> Call:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    loaded = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda a: loaded.run(None, {"a": a.numpy()})


def measured(call: Call, a: Tensor, seconds: float) -> list[float]:
    """Of so many seconds of calls, at least `LEAST`, after three that warm up."""
    for _ in range(3):
        call(a)
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < LEAST or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call(a)
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="as pdeops.load takes it")
    parser.add_argument("--ways", nargs="+", default=["eager", "compile", "aoti", "onnx"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8, 64])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=2.0, help="of calls for each figure")
    options = parser.parse_args()
    print(f"| surrogate | way | threads |{''.join(f' batch {b}: ms (p95) | samples/s |' for b in options.batches)}")
    print(f"|{'---|' * (3 + 2 * len(options.batches))}", flush=True)
    for source in options.sources:
        surrogate = pdeops.load(source)
        window = surrogate.window
        noise = torch.randn(max(options.batches), window.in_channels, *window.grid_in.shape)
        a = surrogate.normalize_in.inverse(noise)
        with TemporaryDirectory() as folder:
            for way in options.ways:
                for threads in options.threads:
                    cells = []
                    with ready(way, surrogate, threads, Path(folder)) as call, torch.no_grad():
                        for batch in options.batches:
                            times = measured(call, a[:batch], options.seconds)
                            median, late = statistics.median(times), statistics.quantiles(times, n=20)[-1]
                            cells += [f"{1e3 * median:.3g} ({1e3 * late:.3g})", f"{batch / median:.3g}"]
                    print(f"| {source} | {way} | {threads} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
