"""One panel of metrics for every data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from pdeops.grid import Grid
from pdeops.metrics.pointwise import boundary_rmse, pearson, vrmse
from pdeops.metrics.rollout import valid_time
from pdeops.metrics.spectral import band_energy, default_edges
from pdeops.norms import Lp, energy_norm, relative_error

ROLLOUT_WINDOWS = {"1": slice(0, 1), "6:12": slice(6, 12), "13:30": slice(13, 30)}


class Panel:
    """Metrics of predictions u against references v, both (B, C, *space) or (B, C, T, *space).

    `panel(u, v)` gives, per metric, (B, C): frames, where there are any, are averaged.
    relative_l2, relative_h1 (`energy_norm`), vrmse, pearson, max_error, rmse_low, rmse_mid, rmse_high (bands
    of wavenumber split at the 4th and 12th harmonic), boundary_rmse (grids with a boundary).
    """

    def __init__(self, space: Grid) -> None:
        self.space = space
        l2, edges = Lp(space), default_edges(space)
        self._metrics: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "relative_l2": lambda u, v: relative_error(u, v, l2)
        }
        if all(axis.n > 1 for axis in space):
            h1 = energy_norm(space)
            self._metrics["relative_h1"] = lambda u, v: relative_error(u, v, h1)
        self._metrics["vrmse"] = lambda u, v: vrmse(u, v, space)
        self._metrics["pearson"] = lambda u, v: pearson(u, v, space)
        self._metrics["max_error"] = lambda u, v: (u - v).abs().amax(tuple(range(-space.ndim, 0)))
        for band, name in enumerate(("low", "mid", "high")):
            self._metrics[f"rmse_{name}"] = partial(_band_rmse, space, edges, band)
        if not all(axis.periodic for axis in space):
            self._metrics["boundary_rmse"] = lambda u, v: boundary_rmse(u, v, space)

    def __call__(self, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        return {name: self.only(name, u, v) for name in self._metrics}

    def only(self, name: str, u: Tensor, v: Tensor) -> Tensor:
        """One metric of the panel, (B, C)."""
        return (
            self._per_frame(name, u, v).flatten(2).mean(2)
            if u.ndim > self.space.ndim + 2
            else self._per_frame(name, u, v)
        )

    def _per_frame(self, name: str, u: Tensor, v: Tensor) -> Tensor:
        # transforms and sums in at least single precision, whatever the model ran in
        u, v = u.to(torch.promote_types(u.dtype, torch.float32)), v.to(torch.promote_types(v.dtype, torch.float32))
        return self._metrics[name](u, v)

    def rollout(self, u: Tensor, v: Tensor, times: Tensor) -> dict[str, Tensor]:
        """Of rollouts (B, C, T, *space) at `times` after the initial state: the panel over all frames; relative_l2
        and vrmse of frame 1, frames 6:12 and 13:30, as far as there are; valid_time, the time at which the
        relative L2 error exceeds 0.1, and valid_time_censored, the share of rollouts in which it never does."""
        found = self(u, v)
        for name in ("relative_l2", "vrmse"):
            per_frame = self._per_frame(name, u, v)
            for label, frames in ROLLOUT_WINDOWS.items():
                if u.shape[2] >= frames.stop:
                    found[f"{name}[{label}]"] = per_frame[..., frames].mean(-1)
            if name == "relative_l2":
                time, censored = valid_time(per_frame, times)
                found["valid_time"], found["valid_time_censored"] = time, censored.to(time.dtype)
        return found


def _band_rmse(space: Grid, edges: Sequence[float], band: int, u: Tensor, v: Tensor) -> Tensor:
    return band_energy(u - v, space, edges)[..., band].sqrt()
