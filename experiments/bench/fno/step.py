"""The whole FNO, ours beside neuraloperator's with the same weights: a forward pass and a training step, in turns.

    python experiments/bench/fno/step.py [PART OF A CASE'S NAME ...] [--device cuda]
        [--precision float32|tf32|bf16] [--compile] [--graphs] [--repeats 14] [--threads 2]

A step: zero_grad, forward, mean squared error, backward, Adam. Ours is fused; fused Adam refuses neuraloperator's
complex parameters, so its quickest, foreach=True, is what ratios are to, and Adam as torch gives it stands beside. With
bf16 its own half precision, `mixed`, runs as well. --compile and --graphs add rows of both, compiled and as CUDA
graphs.

Columns: milliseconds by medians; ratios of medians, of minima and of processor time; the most bytes that torch holds in
a step, weights and Adam's state apart; the relative errors of the output and of the weights' gradients, to our model in
float64.
"""

from __future__ import annotations

import argparse

import torch
from common import Case, Job, attempt, graphed, header, parse, peak_bytes, relative, row, settle
from models import CASES, Contender, fields, neuralop, ours
from timing import ratio, timings
from torch import Tensor


def contenders(case: Case, options: argparse.Namespace) -> dict[str, Contender]:
    """All of the same weights."""
    theirs = neuralop(case)
    weights = theirs.state_dict()
    mine = ours(case).load_neuralop(weights)
    every = {
        "neuralop": Contender(theirs, options, foreach=True),
        "neuralop, Adam as it comes": Contender(theirs, options),
        "**ours**": Contender(mine, options, fused=True),
        "ours, recompute": Contender(ours(case, recompute=True).load_neuralop(weights), options, fused=True),
    }
    if options.precision == "bf16":
        mixed = neuralop(case, fno_block_precision="mixed")
        mixed.load_state_dict(weights)
        every["neuralop, mixed"] = Contender(mixed, options, foreach=True)
    if options.compile:
        every["neuralop, compiled"] = Contender(theirs, options, foreach=True).compiled()
        every["ours, compiled"] = Contender(mine, options, fused=True).compiled()
    return every


def with_graphs(case: Case, options: argparse.Namespace) -> dict[str, Contender]:
    """Those whose jobs are to be CUDA graphs."""
    every = contenders(case, options)
    names = ("neuralop, compiled", "ours, compiled") if options.compile else ("neuralop", "**ours**")
    return {f"{name.strip('*')}, graphs": every[name] for name in names}


def measure(case: Case, options: argparse.Namespace) -> None:
    torch._dynamo.reset()
    a, u = fields(case, options.device)
    jobs: dict[str, tuple[Job, Job]] = {}
    told: dict[str, tuple[str, str]] = {}  # memory and errors
    every = contenders(case, options)
    exact = Contender(every["**ours**"].model.double(), argparse.Namespace(**vars(options) | {"precision": "float32"}))
    every["**ours**"].model.float()
    reference = outcome(exact, case, a.double(), u.double())
    graphs = with_graphs(case, options) if options.graphs else {}
    for name, one in (every | graphs).items():
        with attempt(f"{name}, {case}"):
            got = outcome(one, case, a, u)
            forward, step = one.jobs(a, u)
            step()  # Adam's state is made
            one.optimizer.zero_grad()
            error = ", ".join(f"{relative(x, y):.1e}" for x, y in zip(got, reference, strict=True))
            told[name] = f"{peak_bytes(step, options.device) / 2**20:.0f}", error
            jobs[name] = (graphed(forward), graphed(step)) if name in graphs else (forward, step)
    both = [job for pair in zip(*jobs.values(), strict=True) for job in pair]
    times = timings(options.repeats, *both, settle=settle(options.device))
    forwards, steps = times[: len(jobs)], times[len(jobs) :]
    for name, *own in zip(jobs, forwards, steps, strict=True):
        ratios = [ratio(theirs, mine) for theirs, mine in zip((forwards[0], steps[0]), own, strict=True)]
        row(case, name, *(f"{1e3 * t.median:.4g}" for t in own), *ratios, *told[name])


def outcome(one: Contender, case: Case, a: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """The output, and the gradient of the loss."""
    got = one.predict(a)
    one.backward(a, u)
    return got, one.gradient(case)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options = parse(parser, CASES)
    header("case", "model", "forward, ms", "step, ms", "forward x", "step x", "step, MiB", "error")
    for case in options.cases:
        measure(case, options)
    print("\nRatios: of medians / minima / processor time. Errors: of outputs, gradients.")


if __name__ == "__main__":
    main()
