"""What this machine allows an FNO, and the share of it that ours reaches.

    python experiments/bench/fno/limits.py [PART OF A CASE'S NAME ...] [--device cuda] [--precision float32|tf32|bf16]
        [--compile] [--graphs] [--threads 2]

The machine: matrix products of 2048 x 2048 in the precision asked for, and copies of 256 MiB (read and write). The
model: its flops by formula (three times the forward's for a step) beside those that torch counts, which the limits
take, and the bytes that its operations read and write, each operation its own arguments and results. The limit of a
model that fuses nothing is flops at the speed of products plus bytes at the speed of copies; fusion and caches save
bytes, so compiled and small ones may pass it.
"""

from __future__ import annotations

import argparse

import torch
from common import graphed, header, parse, row, settle
from models import CASES, Contender, fields, flops, ours
from timing import timings
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.is_view:
            return result
        written = [x for x, of in zip(args, func._schema.arguments, strict=False) if of.is_write] or result
        for x in tree_leaves((args, kwargs, written)):
            if isinstance(x, Tensor):  # a table repeated over a batch is read once
                self.bytes += min(x.numel() * x.element_size(), x.untyped_storage().nbytes())
        return result


def machine(options: argparse.Namespace) -> tuple[float, float]:
    """Flops per second of products, bytes per second of copies."""
    x = torch.randn(2048, 2048, device=options.device)
    source = torch.randn(2**26, device=options.device)
    target = torch.empty_like(source)
    if options.precision == "bf16":
        x = x.bfloat16()
    product, copy = timings(options.repeats, lambda: x @ x, lambda: target.copy_(source), settle=settle(options.device))
    return 2 * 2048**3 / product.least, 2 * 4 * len(source) / copy.least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options = parse(parser, CASES)
    speed, rate = machine(options)
    print(f"products {speed / 1e9:.0f} GF/s, copies {rate / 1e9:.1f} GB/s")
    header("case", "pass", "GF", "GF counted", "GB", "limit, ms", "ours, ms", "limit / ours", "of products")
    for case in options.cases:
        torch._dynamo.reset()
        one = Contender(ours(case), options, fused=True)
        jobs = one.jobs(*fields(case, options.device))
        counts = []
        for job in jobs:
            job()
            with Traffic() as traffic, FlopCounterMode(display=False) as counted:
                job()
            counts.append((traffic.bytes, counted.get_total_flops()))
        if options.compile:
            one.compiled()
        if options.graphs:
            jobs = tuple(map(graphed, jobs))
        times = timings(options.repeats, *jobs, settle=settle(options.device))
        for name, factor, (moved, work), time in zip(("forward", "step"), (1, 3), counts, times, strict=True):
            limit = work / speed + moved / rate
            figures = [f"{x / 1e9:.2f}" for x in (factor * flops(case), work, moved)]
            shares = f"{limit / time.median:.0%}", f"{work / speed / time.median:.0%}"
            row(case, name, *figures, f"{1e3 * limit:.3g}", f"{1e3 * time.median:.3g}", *shares)


if __name__ == "__main__":
    main()
