"""The spectral convolution alone, ours beside neuraloperator's and others', in turns in one process.

    python experiments/bench/fno/layer.py [PART OF A CASE'S NAME ...] [--peer PATH ...] [--device cuda]
        [--precision float32|tf32|bf16] [--compile] [--graphs] [--repeats 14] [--threads 2]

PATH: a checkout of NVIDIA/physicsnemo, pdearena/pdearena or thuml/Neural-Solver-Library; absent ones are skipped. All
have the same weights and modes. Each gets its field in its own layout, contiguous: (B, *n, C) ours, as inside our FNO,
(B, C, *n) the others; "between channels-first fields" is ours with both moves. neuraloperator's layer adds a bias
unless told not to, the one flag that makes it quicker at equal precision without changing what it computes
(`implementation` does nothing for dense weights); ratios are to it without. With bf16 its own half precision, `mixed`,
runs as well. "with backward" is the forward and the gradients of field and weights. Difference: the larger one of the
output's and the field's gradient's, relative to our layer in float64.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy

import torch
from common import Case, Job, attempt, graphed, header, parse, precise, relative, row, settle
from peer_layers import found, layer
from timing import timings
from torch import Tensor, nn

from pdeops.nn.spectral_conv import SpectralConv

CASES = [
    Case(16, 64, 2, 32, 8),
    Case(16, 64, 2, 64, 8),
    Case(32, 128, 2, 64, 8),
    Case(32, 256, 2, 32, 2),
    Case(16, 1024, 1, 64, 16),
    Case(8, 32, 3, 32, 2),
]


class Ours(nn.Module):
    def __init__(self, conv: SpectralConv, first: bool) -> None:
        super().__init__()
        self.conv, self.first = conv, first

    def forward(self, v: Tensor) -> Tensor:
        """first: channels stand first, on both sides."""
        if not self.first:
            return self.conv(v, v.shape[1:-1])
        return self.conv(v.movedim(1, -1), v.shape[2:]).movedim(-1, 1).contiguous()


def neuralop(width: int, modes: tuple[int, ...], weight: Tensor, **flags: object) -> nn.Module:
    from neuralop.layers.spectral_convolution import SpectralConv as Theirs

    conv = Theirs(width, width, modes, **flags)
    state = {"weight.tensor": weight}
    if conv.bias is not None:
        state["bias"] = torch.zeros_like(conv.bias)
    conv.load_state_dict(state)
    return conv


def contenders(case: Case, files: dict, precision: str) -> dict[str, tuple[nn.Module, bool]]:
    """Layers of equal weights, and whether each wants its channels first."""
    modes = (case.modes,) * case.ndim
    conv = SpectralConv(case.width, case.width, modes)
    (stored,) = conv.parameters()  # (*modes, C_in, [Re | Im] C_out)
    pairs = stored.detach().unflatten(-1, (2, -1)).movedim(-2, -1).contiguous()
    weight = torch.view_as_complex(pairs).movedim((-2, -1), (0, 1))
    layers = {
        "neuralop, no bias": (neuralop(case.width, modes, weight, bias=False), True),
        "neuralop": (neuralop(case.width, modes, weight), True),
        **{name: (layer(file, case.width, modes, weight), True) for name, file in files.items()},
        "**ours**": (Ours(conv, False), False),
        "ours, between channels-first fields": (Ours(conv, True), True),
    }
    if precision == "bf16":
        layers["neuralop, mixed"] = (neuralop(case.width, modes, weight, bias=False, fno_block_precision="mixed"), True)
    return layers


def jobs(module: nn.Module, v: Tensor, g: Tensor, context: Callable) -> tuple[Job, Callable[[], tuple[Tensor, ...]]]:
    """The forward alone, and the output with the gradients of field and weights for the gradient g of the output."""
    v = v.requires_grad_()

    def forward() -> Tensor:
        with torch.no_grad(), context():
            return module(v)

    def both() -> tuple[Tensor, ...]:
        with context():
            y = module(v)
        return y, *torch.autograd.grad(y, [v, *module.parameters()], g.to(y.dtype))

    return forward, both


def measure(case: Case, files: dict, options: argparse.Namespace, differences: dict[str, list[float]]) -> None:
    v, g = torch.randn(2, case.batch, case.width, *case.shape, device=options.device).unbind()
    layers = contenders(case, files, options.precision)
    exact = deepcopy(layers["**ours**"][0]).double().to(options.device)
    y, dv, *_ = jobs(Ours(exact.conv, True), v.double(), g.double(), torch.autograd.enable_grad)[1]()
    forwards, boths = {}, {}
    for name, (module, first) in layers.items():
        mine = [t.clone() if first else t.movedim(1, -1).contiguous() for t in (v.detach(), g)]
        module = module.to(options.device)
        if options.compile:
            torch._dynamo.reset()
            module = torch.compile(module, dynamic=False)
        with attempt(f"{name}, {case}"):
            forward, both = jobs(module, *mine, precise(options))
            got = [t if first else t.movedim(-1, 1) for t in both()[:2]]
            differences.setdefault(name, []).append(max(relative(got[0], y), relative(got[1], dv)))
            forwards[name], boths[name] = (graphed(forward), graphed(both)) if options.graphs else (forward, both)
    waits = settle(options.device)
    times = timings(options.repeats, *forwards.values(), *boths.values(), settle=waits)
    times = list(zip(times[: len(boths)], times[len(boths) :], strict=True))
    for name, own in zip(boths, times, strict=True):
        ratios = [f"{a.median / b.median:.2f} / {a.least / b.least:.2f}" for a, b in zip(times[0], own, strict=True)]
        row(case, name, *(f"{1e3 * t.median:.3g}" for t in own), *ratios, f"{differences[name][-1]:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="PATH")
    options = parse(parser, CASES)
    files = found(options.peer)
    differences: dict[str, list[float]] = {}
    header("case", "layer", "forward, ms", "with backward, ms", "forward x", "with backward x", "difference")
    for case in options.cases:
        measure(case, files, options, differences)
    print("\nRatios: by medians / by minima. Largest differences over the cases:")
    for name, values in differences.items():
        print(f"- {name}: {max(values):.1e}")


if __name__ == "__main__":
    main()
