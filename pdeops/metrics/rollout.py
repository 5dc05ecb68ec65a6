"""How long a rollout stays good."""

from __future__ import annotations

import torch
from torch import Tensor


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
