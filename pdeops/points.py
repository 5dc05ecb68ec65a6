"""Scattered points: where the samples of a field sit when they form no lattice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pdeops.errors import InputError
from pdeops.watched import watched


@dataclass(frozen=True)
class Points:
    """x (N, d), or (B, N, d) where each sample has points of its own.

    weights: (N) or (B, N), the share of the domain that each point stands for, up to a factor; None: equal shares.
    mask: (B, N), False at points that only fill up a shorter sample; what stands there does not count.
    Raises InputError on shapes that do not fit, on places that are not finite, on weights that are negative or
    not finite, and on a sample without points.
    """

    x: Tensor
    weights: Tensor | None = None
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        x, weights, mask = self.x, self.weights, self.mask
        for name, part in {"x": x, "weights": weights, "mask": mask}.items():
            if not isinstance(part, Tensor) and (part is not None or name == "x"):
                raise InputError(f"{name} of points is a {type(part).__name__}; wanted a tensor")
        if x.ndim not in (2, 3) or not x.is_floating_point():
            raise InputError(f"points of shape {tuple(x.shape)}, {x.dtype}; wanted real numbers (N, d) or (B, N, d)")
        if weights is not None and (weights.ndim not in (1, 2) or weights.shape[-1] != x.shape[-2]):
            raise InputError(
                f"weights of shape {tuple(weights.shape)} for points {tuple(x.shape)}: wanted (N) or (B, N)"
            )
        if mask is not None and (mask.dtype != torch.bool or mask.ndim != 2 or mask.shape[-1] != x.shape[-2]):
            raise InputError(f"a mask of shape {tuple(mask.shape)}, {mask.dtype}; wanted truth values (B, N)")
        if len(set(self._batches)) > 1:
            raise InputError(f"places, weights and mask of several numbers of samples: {self._batches}")
        if not x.shape[-2]:
            raise InputError("a sample without a point: wanted at least one in each")
        if not (x.is_meta or watched()):  # else values are not at hand
            self._check_values()

    def _check_values(self) -> None:
        if self.mask is not None and not self.mask.any(-1).all():
            raise InputError("a sample without a point: wanted at least one in each")
        told = self.x if self.mask is None else self.x[self.mask] if self.x.ndim == 3 else self.x[self.mask.any(0)]
        if not told.isfinite().all():
            raise InputError("places of points are NaN or infinite; a mask leaves out what only fills up")
        shares = self._shares()
        if not (shares.isfinite().all() and (shares >= 0).all() and (shares.sum(-1) > 0).all()):
            raise InputError("weights of points must be finite and not negative, and not all zero")

    @property
    def ndim(self) -> int:
        return self.x.shape[-1]

    @property
    def batch(self) -> int | None:
        """The number of samples whose points these are; None: of any number."""
        return self._batches[0] if self._batches else None

    @property
    def _batches(self) -> list[int]:
        parts = (self.x, 3), (self.weights, 2), (self.mask, 2)
        return [len(part) for part, ndim in parts if part is not None and part.ndim == ndim]

    def measure(self) -> Tensor:
        """(N) or (B, N): weights that sum to one over each sample's points, zero where the mask is False."""
        shares = self._shares()
        return shares / shares.sum(-1, keepdim=True)

    def _shares(self) -> Tensor:
        """Their weights where the mask is True, in single precision at least: half precision cannot count them."""
        exact = torch.promote_types(self.x.dtype, torch.float32)
        ones = self.x.new_ones(self.x.shape[-2], dtype=exact)
        shares = ones if self.weights is None else self.weights.to(ones)
        return shares if self.mask is None else torch.where(self.mask, shares, 0.0)
