"""The FNO with its pointwise parts compiled by tiles beside the same model by torch's products: milliseconds and
ratios, above 1 in favour of tiles, medians in turns; and what a step keeps for its gradients.

    python experiments/bench/fno/tiles.py [--threads 2] [--repeats 12]

Both take compiled GELUs. Freed memory is kept (pdeops.memory), as in training.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from timing import medians

from pdeops.grid import Grid
from pdeops.memory import keep_freed
from pdeops.models.fno import FNO
from pdeops.nn import block, mlp

CASES = (
    ((12, 12), (64, 64), 32, 8),
    ((16, 16), (64, 64), 64, 8),
    ((16, 16), (128, 128), 32, 8),
    ((32, 32), (64, 64), 64, 8),
    ((8, 8, 8), (32, 32, 32), 32, 2),
    ((16,), (1024,), 64, 16),
)  # modes, nodes, width, batch


def untiled(job: Callable[[], object]) -> Callable[[], object]:
    """The job by torch's products."""

    def run() -> object:
        with (
            mock.patch.object(mlp, "as_built", return_value=False),
            mock.patch.object(block, "as_built", return_value=False),
        ):
            return job()

    return run


def kept(job: Callable[[], object]) -> float:
    """MiB of the tensors that a job saves for gradients, each storage once."""
    found: dict[int, int] = {}

    def save(x: Tensor) -> Tensor:
        found[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(save, lambda x: x):
        result = job()
    del result
    return sum(found.values()) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed()
    print(f"torch {torch.__version__}, {options.threads} threads")
    print("| modes, nodes, width, batch | what | torch, ms | tiles, ms | ratio | MiB kept by torch, by tiles |")
    print("|---|---|---|---|---|---|")
    for modes, nodes, width, batch in CASES:
        grid = Grid.periodic(nodes)
        model = FNO(1, 1, grid, grid, width=width, modes=modes)
        a = torch.randn(batch, 1, *nodes)

        def loss(model: FNO = model, a: Tensor = a) -> Tensor:
            return model(a).square().mean()

        def gradients(model: FNO = model, loss: Callable[[], Tensor] = loss) -> object:
            return torch.autograd.grad(loss(), list(model.parameters()))

        memory = f"{kept(untiled(loss)):.0f}, {kept(loss):.0f}"
        for what, job in (("forward", torch.no_grad()(loss)), ("forward and backward", gradients)):
            x, y = (1e3 * t for t in medians(options.repeats, untiled(job), job))
            case = f"{modes}, {nodes}, {width}, {batch}"
            print(f"| {case} | {what} | {x:.1f} | {y:.1f} | **{x / y:.2f}** | {memory} |", flush=True)


if __name__ == "__main__":
    main()
