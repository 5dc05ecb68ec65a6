"""Training over several outputs in a row, each made of the one before."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.surrogate import Surrogate
from pdeops.window import Batch

Rollout = int | Mapping[int, int]


def check(rollout: Rollout) -> None:
    """Raises InputError unless `task.rollout` is a number of steps, or such numbers by the epochs that begin them."""
    pairs = {0: rollout} if isinstance(rollout, int) else rollout
    if not all(type(e) is type(n) is int and e >= 0 and n >= 1 for e, n in pairs.items()):
        raise InputError(
            f"task.rollout={rollout}: wanted a number of steps, at least 1, or numbers by epoch, such as "
            "'{0: 1, 20: 2, 40: 4}'"
        )


def longest(rollout: Rollout) -> int:
    """The most steps of any epoch."""
    check(rollout)
    return rollout if isinstance(rollout, int) else max(rollout.values(), default=1)


def steps_in(epoch: int, rollout: Rollout) -> int:
    """The steps of an epoch: those of the last entry that is not after it; before the first, one."""
    if isinstance(rollout, int):
        return rollout
    return rollout.get(max((first for first in rollout if first <= epoch), default=-1), 1)


def unrolled_loss(
    surrogate: Surrogate, loss: Callable[[Tensor, Batch], Tensor], batch: Batch, steps: int, pushforward: bool
) -> Tensor:
    """(1/K) sum_k loss(u_k, v_k), u_k = S(a_k), a_{k+1} = advance(a_k, u_k), over the first K outputs v_k that a batch
    holds in a row.

    pushforward: loss(u_K, v_K) alone, a_K without gradients: what the surrogate errs in K - 1 steps is noise of its own
    kind, which the last step learns to bear. Source: Brandstetter, Worrall and Welling, Message Passing Neural PDE
    Solvers, ICLR 2022, section 3.1.
    """
    window, a = surrogate.window, batch.a
    assert batch.u is not None
    truths = window.unstack(batch.u).split(window.n_out, dim=2)[:steps]
    losses = []
    for k, truth in enumerate(truths, 1):
        counts = k == steps or not pushforward
        with torch.set_grad_enabled(counts and torch.is_grad_enabled()):
            if counts:
                u = surrogate(a, batch.out)
                losses.append(loss(u, batch._replace(a=a, u=window.stack(truth))))
            if k < steps:  # the loss may have its own lattice, and frames go in
                a = window.advance(a, u if counts and batch.out is None else surrogate(a))
    return torch.stack(losses).mean()
