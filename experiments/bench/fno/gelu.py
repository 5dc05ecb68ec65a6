"""GELU of pdeops.nn.activation beside torch's: milliseconds and ratios, above 1 in our favour, medians in turns.

    python experiments/bench/fno/gelu.py [--threads 2] [--repeats 40]

Freed memory is kept (pdeops.memory): else clearing the pages of new tensors takes more time than either function.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parents[1]))
from timing import medians

from pdeops.memory import keep_freed
from pdeops.nn.activation import gated_gelu, gelu

SHAPES = ((32768, 64), (32768, 128), (131072, 32))


def torch_gated(m: Tensor, gate: Tensor, v: Tensor) -> Tensor:
    return F.gelu(torch.addcmul(m, gate, v))


def forward(function: Callable[..., Tensor], *arguments: Tensor) -> Callable[[], object]:
    @torch.no_grad()
    def job() -> None:
        function(*arguments)

    return job


def both(function: Callable[..., Tensor], *arguments: Tensor) -> Callable[[], object]:
    leaves = [a.clone().requires_grad_() for a in arguments]
    dy = torch.randn_like(arguments[0])
    return lambda: torch.autograd.grad(function(*leaves), leaves, dy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=40)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed()
    print(f"torch {torch.__version__}, {options.threads} threads")
    print("| shape | what | torch, ms | ours, ms | ratio |\n|---|---|---|---|---|")
    for shape in SHAPES:
        m, v, gate = torch.randn(shape), torch.randn(shape), torch.randn(shape[-1])
        for name, theirs, ours, arguments in (
            ("gelu", F.gelu, gelu, (m,)),
            ("gelu(m + gate v)", torch_gated, gated_gelu, (m, gate, v)),
        ):
            for what, way in (("forward", forward), ("forward and backward", both)):
                a, b = (1e3 * t for t in medians(options.repeats, way(theirs, *arguments), way(ours, *arguments)))
                print(f"| {shape} | {name}, {what} | {a:.2f} | {b:.2f} | **{a / b:.2f}** |", flush=True)


if __name__ == "__main__":
    main()
