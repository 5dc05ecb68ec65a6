"""Learning rates over a run, where torch has none of that kind."""

from __future__ import annotations

from math import cos, pi

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pdeops.errors import InputError


class WarmupCosine(LambdaLR):
    """Step k of n: lr (k + 1) / (w + 1) for k < w = warmup n, then lr (f + (1 - f)(1 + cos(pi (k - w) / (n - w))) / 2)
    with f = final: up on a line, down on half a cosine to f lr, as transformers are trained.

    Raises InputError unless 0 <= warmup < 1 and 0 <= final <= 1.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, *, warmup: float = 0.05, final: float = 0.0) -> None:
        if not (0 <= warmup < 1 and 0 <= final <= 1):
            raise InputError(f"scheduler: warmup={warmup}, final={final}; wanted 0 <= warmup < 1 and 0 <= final <= 1")
        self.total_steps, self.warmup, self.final = total_steps, warmup, final
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        start = round(self.warmup * self.total_steps)
        if step < start:
            return (step + 1) / (start + 1)
        share = min(1.0, (step - start) / max(1, self.total_steps - start))
        return self.final + (1 - self.final) * (1 + cos(pi * share)) / 2
