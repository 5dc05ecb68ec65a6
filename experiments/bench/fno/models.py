"""The whole FNOs that are compared: ours and neuraloperator's, of the same weights, and what is timed of each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy

import torch
from common import Case, Job, precise
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from pdeops.grid import Grid
from pdeops.models.fno import FNO

CASES = [
    Case(12, 64, 2, 32, 8),
    Case(16, 64, 2, 64, 8),
    Case(16, 128, 2, 32, 8),
    Case(32, 256, 2, 32, 2),
    Case(32, 64, 2, 64, 8),
    Case(8, 32, 3, 32, 2),
    Case(16, 1024, 1, 64, 16),
]


def neuralop(case: Case, **flags: object) -> nn.Module:
    from neuralop.models import FNO as Theirs

    modes = (case.modes,) * case.ndim
    return Theirs(n_modes=modes, in_channels=1, out_channels=1, hidden_channels=case.width, **flags)


def ours(case: Case, **flags: object) -> FNO:
    grid = Grid.periodic(case.shape)
    return FNO(1, 1, grid, grid, width=case.width, modes=case.modes, **flags)


class Contender:
    """A copy of a model, its optimiser, and its jobs on a batch of random fields."""

    def __init__(self, model: nn.Module, options: argparse.Namespace, **adam: object) -> None:
        self.model = deepcopy(model).to(options.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), capturable=options.graphs, **adam)
        self.run: Callable[[Tensor], Tensor] = self.model
        self.context = precise(options)

    def compiled(self) -> Contender:
        self.run = torch.compile(self.model, dynamic=False)
        return self

    def predict(self, a: Tensor) -> Tensor:
        with torch.no_grad(), self.context():
            return self.run(a)

    def backward(self, a: Tensor, u: Tensor) -> None:
        self.optimizer.zero_grad()
        with self.context():
            prediction = self.run(a)
        mse_loss(prediction.to(u.dtype), u).backward()

    def jobs(self, a: Tensor, u: Tensor) -> tuple[Job, Job]:
        """A forward pass; a whole training step."""

        def step() -> None:
            self.backward(a, u)
            self.optimizer.step()

        return lambda: self.predict(a), step

    def gradient(self, case: Case) -> Tensor:
        """Of all weights as one vector, in the order of ours."""
        gradients = {name: p.grad for name, p in self.model.named_parameters()}
        if not isinstance(self.model, FNO):
            gradients = ours(case).load_neuralop({name: g.cpu() for name, g in gradients.items()}).state_dict()
        return torch.cat([gradients[name].cpu().flatten() for name in sorted(gradients)])


def fields(case: Case, device: str) -> tuple[Tensor, Tensor]:
    """An input and a target."""
    a, u = torch.randn(2, case.batch, 1, *case.shape, device=device).unbind()
    return a, u


def flops(case: Case) -> int:
    """Of a forward pass: transforms, mixing of modes, pointwise maps (skip, MLP, lifting, projection), in real
    multiplications and additions; a training step takes three times as many."""
    d, n, C, B, k = case.ndim, case.nodes, case.width, case.batch, case.modes
    N, m = n**d, k // 2 + 1
    kept = [k ** (d - 1 - i) * m for i in range(1, d)]  # columns that the transform of axis i < d works on
    transforms = 2 * B * C * (4 * m * N + sum(8 * k * n**i * r for i, r in enumerate(kept, 1)))
    mixing = 8 * B * k ** (d - 1) * m * C**2
    block = transforms + mixing + 4 * B * N * C**2
    return 4 * block + 4 * B * N * C * (1 + d + 2 * C + 1)
