"""What the FNO benchmarks share: options, precision, graphs and memory of a job, tables."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for `timing`, which every benchmark shares

Job = Callable[[], object]


class Case(NamedTuple):
    """modes: kept frequencies per axis, both signs together (neuraloperator's n_modes)."""

    modes: int
    nodes: int
    ndim: int
    width: int
    batch: int

    def __str__(self) -> str:
        power = f"^{self.ndim}" if self.ndim > 1 else ""
        return f"{self.nodes}{power} C{self.width} modes {self.modes} B{self.batch}"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.nodes,) * self.ndim


def parse(parser: argparse.ArgumentParser, cases: Sequence[Case], arguments: list[str] | None = None):
    """The options, with `cases` narrowed to those asked for, and torch set up as they say."""
    names = "; ".join(map(str, cases))
    parser.add_argument("cases", nargs="*", help=f"parts of names, such as '64^2 C32'; all without any: {names}")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="float32", choices=("float32", "tf32", "bf16"))
    parser.add_argument("--compile", action="store_true", help="with torch.compile")
    parser.add_argument("--graphs", action="store_true", help="as CUDA graphs")
    parser.add_argument("--repeats", type=int, default=14)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    wanted = [case for case in cases if not options.cases or any(part in str(case) for part in options.cases)]
    if not wanted:
        parser.error(f"no case is named like {options.cases}; there are: {names}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this machine has no GPU that torch can use")
    if options.precision == "tf32" and options.device == "cpu":
        parser.error("--precision tf32 is a GPU's: give --device cuda too")
    if options.graphs and options.device == "cpu":
        parser.error("--graphs are a GPU's: give --device cuda too")
    options.cases = wanted
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    exact = options.precision != "tf32"  # cuDNN, which neuraloperator's pointwise maps go through, has its own switch
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact
    name = torch.cuda.get_device_name() if options.device == "cuda" else platform.processor() or platform.machine()
    print(
        f"{name}, {options.threads} threads, torch {torch.__version__}, {options.precision}, {options.repeats} repeats"
    )
    return options


def precise(options: argparse.Namespace) -> Callable[[], AbstractContextManager]:
    """Makes the context that forward passes run in."""
    return partial(torch.autocast, options.device, torch.bfloat16) if options.precision == "bf16" else nullcontext


@contextmanager
def attempt(what: str) -> Iterator[None]:
    """Says that something does not run, and why, and goes on: what others' code bears is not ours to know."""
    try:
        yield
    except Exception as error:
        print(f"{what}: does not run, {type(error).__name__}: {str(error).strip().splitlines()[:1]}", file=sys.stderr)


def settle(device: str) -> Job:
    return torch.cuda.synchronize if device == "cuda" else lambda: None


def graphed(job: Job) -> Job:
    """The job as a CUDA graph: its kernels on the same addresses, launched at once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            job()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        job()
    return graph.replay


def peak_bytes(job: Job, device: str = "cpu") -> int:
    """The most bytes that the job has allocated at once, on top of what lived before it."""
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        job()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        job()
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def relative(a: Tensor, b: Tensor) -> float:
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).norm() / b.norm())


def row(*cells: object) -> None:
    """A line of a markdown table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def header(*cells: str) -> None:
    print()
    row(*cells)
    row(*["---"] * len(cells))
