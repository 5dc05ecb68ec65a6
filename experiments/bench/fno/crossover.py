"""Tables or FFT: forward and backward of the spectral layer by the number of modes, medians of both in turns.

python experiments/bench/fno/crossover.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from timing import medians

from pdeops.nn.spectral_conv import SpectralConv

CASES = {(1024,): (16, 64, 128, 256, 512, 1024), (8192,): (16, 64, 256, 512, 1024), (256, 256): (16, 64, 128, 256)}
CHANNELS, POINTS = 32, 2**17  # channels, and nodes of a batch


def main() -> None:
    print("| nodes | modes per axis | tables, ms | FFT, ms | FFT : tables |\n|---|---|---|---|---|")
    for n, numbers in CASES.items():
        batch = max(1, POINTS // torch.Size(n).numel())
        v = torch.randn(batch, *n, CHANNELS, requires_grad=True)
        for modes in numbers:
            jobs = [job(SpectralConv(CHANNELS, CHANNELS, (modes,) * len(n), method=m), v) for m in ("gemm", "fft")]
            tables, fft = (1e3 * seconds for seconds in medians(7, *jobs))
            shape = "x".join(map(str, n))
            print(f"| {shape} | {modes} | {tables:.1f} | {fft:.1f} | **{fft / tables:.2f}** |", flush=True)


def job(conv: SpectralConv, v: torch.Tensor):
    return lambda: conv(v, v.shape[1:-1]).sum().backward()


if __name__ == "__main__":
    main()
