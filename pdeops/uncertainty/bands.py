"""Bands about predictions that hold the truth with a stated probability, and what a prediction says of its errors."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.resample import onto_points, resampled
from pdeops.uncertainty.conformal import check_coverage, quantile

Kind = Literal["field", "pointwise"]
FLOOR = 0.3  # of the residuals' deviation, under that of an ensemble


class Uncertainty(NamedTuple):
    """What a prediction u (B, C, *grid) says of its own errors; fields have its shape, in physical units.

    deviation: of the members of an ensemble, (sum_k (u_k - u)^2 / (K - 1))^(1/2), of rollouts at each frame; None of a
    single model. lower, upper: the ends of the band of a surrogate that is calibrated (`Bands`); None of others.
    coverage: the probability that the band holds the truth (of its `kind`: at all nodes together, or at each one), for
    inputs distributed as those of the calibration; None without a band, and where there is no guarantee: of inputs or
    outputs on other lattices than the calibrated ones, to which widths are interpolated. error (B,): the relative L2
    error by the residual (`Surrogate.error_estimate`), its own floor included; None where it cannot be told: of steady
    problems, on another output lattice, of frames too far apart.
    """

    deviation: Any
    lower: Any
    upper: Any
    coverage: float | None
    error: Any


class CoverageWarning(UserWarning):
    """Bands are asked for where they have no guarantee, or where there are none."""


class Bands(nn.Module):
    """u +- q sigma, sigma = (s(a)^2 + floor^2)^(1/2): s the deviation of an ensemble's members, 0 of a single model.

    kind: "field": one q, by the score max |u - v| / sigma over all channels and nodes, so that P(v in the band at every
    node) >= coverage. "pointwise": a q for each channel and node, by |u - v| / sigma there, so that P(v(x) in the band)
    >= coverage at each node x: the expected share of nodes outside is at most 1 - coverage. Both for a sample that is
    exchangeable with the `samples` of the calibration, on the nodes of `grid`; the probability is over all of them.

    Sources: Diquigiovanni, Fontana and Vantini, J. Multivariate Analysis 189 (2022), for the band of a whole function;
    `conformal` for q. Raises InputError on a kind and a coverage that are none.
    """

    floor: Tensor
    quantile: Tensor

    def __init__(self, channels: int, grid: Grid, *, coverage: float, kind: Kind, samples: int) -> None:
        super().__init__()
        check_coverage(coverage)
        if kind not in get_args(Kind):
            raise InputError(f"kind={kind!r}; wanted one of {get_args(Kind)}")
        self.channels, self.grid, self.coverage, self.kind, self.samples = channels, grid, coverage, kind, samples
        self.register_buffer("floor", torch.zeros(channels, *grid.shape))
        self.register_buffer("quantile", torch.zeros(() if kind == "field" else (channels, *grid.shape)))

    def check(self, channels: int, grid: Grid, frames: bool = False) -> None:
        """Raise InputError unless these are bands of so many channels on the grid, or of any number of such frames."""
        fits = self.channels % max(channels, 1) == 0 if frames else self.channels == channels
        if self.grid != grid or not fits:
            raise InputError(f"bands of {self.channels} channels on {self.grid}; wanted {channels} on {grid}")

    def calibrate(self, errors: Tensor, deviation: Tensor | None, others: Tensor) -> Bands:
        """Find q from errors u - v (n, channels, *grid) and the members' deviations there, and the floor from errors of
        `others`: their root mean square at each node, or FLOOR times that under an ensemble's deviation. No sample may
        be in both, and training, which includes the choice of the best epoch, must have seen none of the n.

        Raises InputError where n is too small for the coverage, and on errors where there is no scale.
        """
        base = others.square().mean(0).sqrt()
        self.floor = (base if deviation is None else FLOOR * base).to(self.floor)
        found = quantile(self.scores(errors, deviation), self.coverage)
        if not found.isfinite().all():
            raise InputError(
                "the bands would be infinite: some errors are not zero, or not finite, where those of all samples of "
                "the scale are zero. Take more samples for the scale"
            )
        self.quantile = found.to(self.quantile)
        return self

    def scores(self, errors: Tensor, deviation: Tensor | None) -> Tensor:
        """(n,) of fields, (n, channels, *grid) of points; an error of zero has the score 0 on any scale."""
        scores = (errors.abs() / self._scale(deviation, self.floor)).where(errors != 0, 0.0)
        return scores.flatten(1).amax(1) if self.kind == "field" else scores

    def covered(self, errors: Tensor, deviation: Tensor | None) -> Tensor:
        """(n,): whether the band holds a sample's truth, or the share of its channels and nodes at which it does."""
        held = (self.scores(errors, deviation) <= self.quantile).to(errors)
        return held if self.kind == "field" else held.flatten(1).mean(1)

    def half_width(self, deviation: Tensor | None, where: Grid | Tensor, channels: int) -> Tensor:
        """q sigma of the first so many channels, (B or 1, channels, *where), on a grid, or at points (N, d) or
        (B, N, d): interpolated from the nodes of the calibration, linearly, along periodic axes by Fourier series."""
        floor = self._there(self.floor[:channels], where)
        q = self.quantile if self.kind == "field" else self._there(self.quantile[:channels], where)
        return q * self._scale(deviation, floor)

    @staticmethod
    def _scale(deviation: Tensor | None, floor: Tensor) -> Tensor:
        return floor if deviation is None else torch.hypot(deviation, floor)

    def _there(self, v: Tensor, where: Grid | Tensor) -> Tensor:
        """(channels, *grid) -> (B or 1, channels, *where), no value below 0."""
        v = v.movedim(0, -1).unsqueeze(0)
        if isinstance(where, Tensor):
            found = onto_points(v, self.grid, where.flatten(0, -2), 2).view(*where.shape[:-1], -1)
            return found.view(-1, *found.shape[-2:]).movedim(-1, 1).clamp(min=0)
        if where == self.grid:
            return v.movedim(-1, 1)
        if where == self.grid.resized(where.shape):
            return resampled(v, self.grid, where.shape, 2).movedim(-1, 1).clamp(min=0)
        return self._there(v[0].movedim(-1, 0), where.points().flatten(0, -2).to(v)).unflatten(2, where.shape)


def uncertainty(
    u: Tensor,
    deviation: Tensor | None,
    bands: Bands | None,
    where: Grid | Tensor,
    error: Tensor | None,
    same_input: bool = True,
) -> Uncertainty:
    """What is known of the errors of predictions u (B, C, *where), or of frames (B, C, T, *where), whose bands have
    them one after the other in the channels. same_input: whether inputs are on the lattice of the calibration.

    Warns where there is no coverage: of inputs or outputs on other nodes than the calibrated ones, and beyond the
    calibrated frames. Raises InputError if nothing is known.
    """
    frames = u.ndim - 2 - (1 if isinstance(where, Tensor) else where.ndim)
    if bands is None and deviation is None and error is None:
        raise InputError(
            "nothing is known of the errors of this surrogate: calibrate it (pdeops calibrate, for rollouts with "
            "--steps), or make an ensemble of several seeds (pdeops ensemble)"
        )
    if bands is not None and frames and u.shape[1] * u.shape[2] > bands.channels:
        warnings.warn(
            f"rollouts are calibrated for {bands.channels // u.shape[1]} frames: there are no bands for {u.shape[2]}",
            CoverageWarning,
            stacklevel=3,
        )
        bands = None
    if bands is None:
        return Uncertainty(deviation, None, None, None, error)
    s = deviation.transpose(1, 2).flatten(1, 2) if deviation is not None and frames else deviation
    half = bands.half_width(s, where, u.shape[1] * (u.shape[2] if frames else 1)).to(u)
    if frames:
        half = half.unflatten(1, (u.shape[2], u.shape[1])).transpose(1, 2)
    calibrated = same_input and isinstance(where, Grid) and where == bands.grid
    if not calibrated:
        warnings.warn(
            "bands are those of the lattice of their calibration, and have no guarantee on another",
            CoverageWarning,
            stacklevel=3,
        )
    return Uncertainty(deviation, u - half, u + half, bands.coverage if calibrated else None, error)
