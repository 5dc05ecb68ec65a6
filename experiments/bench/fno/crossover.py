"""Tables or FFT: forward and backward of the spectral layer by the number of modes, medians of both in turns.

python experiments/bench/fno/crossover.py [--repeats 7]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from common import header, row
from timing import medians

from pdeops.nn.spectral_conv import SpectralConv

CASES = {(1024,): (16, 64, 128, 256, 512, 1024), (8192,): (16, 64, 256, 512, 1024), (256, 256): (16, 64, 128, 256)}
CHANNELS, POINTS = 32, 2**17  # channels, and nodes of a batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    header("nodes", "modes per axis", "tables, ms", "FFT, ms", "FFT : tables")
    for n, numbers in CASES.items():
        batch = max(1, POINTS // torch.Size(n).numel())
        v = torch.randn(batch, *n, CHANNELS, requires_grad=True)
        for modes in numbers:
            jobs = [job(SpectralConv(CHANNELS, CHANNELS, (modes,) * len(n), method=m), v) for m in ("gemm", "fft")]
            tables, fft = (1e3 * seconds for seconds in medians(options.repeats, *jobs))
            row("x".join(map(str, n)), modes, f"{tables:.1f}", f"{fft:.1f}", f"**{fft / tables:.2f}**")


def job(conv: SpectralConv, v: torch.Tensor) -> Callable[[], None]:
    return lambda: conv(v, v.shape[1:-1]).sum().backward()


if __name__ == "__main__":
    main()
