"""What benchmarks of whole models beside a peer's share: two jobs of each model, in turns, and a row for each."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch
from common import Job, header, peak_bytes, row, settle
from timing import ratio, timings
from torch import nn

from pdeops.memory import keep_freed

Case = TypeVar("Case")


class Contender(NamedTuple):
    """short: a part of the work; whole: all of it, whose memory is told."""

    model: nn.Module
    short: Job
    whole: Job


def parser(description: str | None, cases: Sequence[object], repeats: int) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("cases", nargs="*", help=f"parts of names; all without any: {'; '.join(map(str, cases))}")
    found.add_argument("--peer", type=folder)
    found.add_argument("--threads", type=int, default=1)
    found.add_argument("--repeats", type=int, default=repeats)
    return found


def with_device(found: argparse.ArgumentParser) -> argparse.ArgumentParser:
    found.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    return found


def folder(text: str) -> str:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {text}")
    return text


def begun(options: argparse.Namespace, cases: Sequence[Case], skipped: str, *columns: str) -> list[Case]:
    """Torch set up as the options say and the table's head printed; the cases asked for. skipped: said without a
    peer."""
    torch.set_num_threads(options.threads)
    keep_freed()
    if options.repeats < 1 or options.threads < 1:
        raise SystemExit("--repeats and --threads: wanted at least 1")
    if vars(options).get("device") == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: this machine has no GPU that torch can use")
    chosen = [case for case in cases if not options.cases or any(part in str(case) for part in options.cases)]
    if not chosen:
        raise SystemExit(
            f"no case has {' or '.join(map(repr, options.cases))} in its name: {'; '.join(map(str, cases))}"
        )
    if not options.peer:
        print(f"no --peer: {skipped}")
    header("case", "model", "parameters", *columns)
    return chosen


def rows(case: object, every: Mapping[str, Contender], repeats: int, *more: str, device: str = "cpu") -> None:
    """A row of each: parameters, milliseconds of both jobs, ratios of the first one's to its own, MiB."""
    for one in every.values():
        one.whole()  # gradients and the optimiser's state are there
    memory = [peak_bytes(one.whole, device) for one in every.values()]
    jobs = (job for one in every.values() for job in (one.short, one.whole))
    times = timings(repeats, *jobs, settle=settle(device))
    for i, (name, one) in enumerate(every.items()):
        own = times[2 * i : 2 * i + 2]
        count = sum(p.numel() for p in one.model.parameters())
        told = (f"{1e3 * timing.median:.4g}" for timing in own)
        ratios = (ratio(*pair) for pair in zip(times[:2], own, strict=True))
        row(case, name, f"{count:,}", *told, *ratios, f"{memory[i] / 2**20:.0f}", *more)
