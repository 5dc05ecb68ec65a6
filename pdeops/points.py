"""Scattered points: where the samples of a field sit when they form no lattice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeops.errors import InputError


@dataclass(frozen=True)
class Points:
    """x (N, d), or (B, N, d) where each sample has points of its own.

    weights: (N) or (B, N), the share of the domain that each point stands for, up to a factor; None: equal shares.
    mask: (B, N), False at points that only fill up a shorter sample; what stands there does not count.
    Raises InputError on shapes that do not fit, on weights that are not positive or finite, and on a sample without
    points.
    """

    x: Tensor
    weights: Tensor | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        x, weights, mask = self.x, self.weights, self.mask
        if x.ndim not in (2, 3) or not x.is_floating_point():
            raise InputError(f"points of shape {tuple(x.shape)}, {x.dtype}; wanted real numbers (N, d) or (B, N, d)")
        if weights is not None and weights.shape not in (x.shape[:-1], x.shape[-2:-1]):
            raise InputError(
                f"weights of shape {tuple(weights.shape)} for points {tuple(x.shape)}: wanted (N) or (B, N)"
            )
        if mask is not None:
            if mask.dtype != torch.bool or mask.ndim != 2 or mask.shape[-1] != x.shape[-2]:
                raise InputError(f"a mask of shape {tuple(mask.shape)}, {mask.dtype}; wanted truth values (B, N)")
            if x.ndim == 3 and len(mask) != len(x):
                raise InputError(f"a mask of {len(mask)} samples for the points of {len(x)}")
        if not x.shape[-2] or (mask is not None and not mask.any(-1).all()):
            raise InputError("a sample without a point: wanted at least one in each")
        counted = self.measure()
        if not (counted.isfinite().all() and (counted >= 0).all()):
            raise InputError("weights of points must be finite and not negative, and not all zero")

    @property
    def ndim(self) -> int:
        return self.x.shape[-1]

    @property
    def batch(self) -> int | None:
        """The number of samples whose points these are; None: of any number."""
        own = [
            len(part)
            for part, ndim in ((self.x, 3), (self.weights, 2), (self.mask, 2))
            if part is not None and part.ndim == ndim
        ]
        return own[0] if own else None

    def measure(self) -> Tensor:
        """(N) or (B, N): weights that sum to one over each sample's points, zero where the mask is False."""
        x = self.x
        shares = x.new_ones(x.shape[-2]) if self.weights is None else self.weights.to(x)
        if self.mask is not None:
            shares = torch.where(self.mask, shares, 0.0)
        return shares / shares.sum(-1, keepdim=True)
