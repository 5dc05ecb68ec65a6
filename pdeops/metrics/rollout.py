"""How long a rollout stays good, and where it errs."""

from __future__ import annotations

import torch
from torch import Tensor

from pdeops.grid import Axis, Grid
from pdeops.norms import Lp


def valid_time(error: Tensor, times: Tensor, threshold: float = 0.1) -> tuple[Tensor, Tensor]:
    """The time at which `error` (..., T) first exceeds the threshold, linearly interpolated, and whether it
    never does (then the last time is returned: a censored value).

    times: (T,), increasing, counted from the initial state, where the error is 0. NaN counts as exceeding.
    """
    times = times.to(error)
    t = torch.cat([times.new_zeros(1), times])
    e = torch.cat([torch.zeros_like(error[..., :1]), torch.nan_to_num(error, nan=torch.inf)], dim=-1)
    over = e > threshold
    censored = ~over.any(-1)
    i = over.int().argmax(-1).clamp_min(1)
    before, after = (e.gather(-1, j.unsqueeze(-1)).squeeze(-1) for j in (i - 1, i))
    fraction = torch.where(after.isinf(), 0.0, (threshold - before) / (after - before))
    crossing = t[i - 1] + fraction * (t[i] - t[i - 1])
    return torch.where(censored, t[-1], crossing), censored


def errors_by_segment(u: Tensor, v: Tensor, t: Axis, nodes: int) -> Tensor:
    """||u - v|| / ||v|| (..., K) of u, v (..., n) on K segments of `nodes` nodes of t each, neighbours sharing one: the
    error's root mean square on a segment by the reference's on all of t, so that the errors' root mean square is the
    relative L2 error of the whole. Where v vanishes: the former alone.
    """
    segment = Axis(t.name, nodes, t.length * (nodes - 1) / t.intervals, t.nodes)
    errors = Lp(Grid((segment,)))((u - v).unfold(-1, nodes, nodes - 1)) / segment.length**0.5
    reference = (Lp(Grid((t,)))(v) / t.length**0.5).unsqueeze(-1)
    return errors / reference.where(reference > 0, reference.new_ones(()))
