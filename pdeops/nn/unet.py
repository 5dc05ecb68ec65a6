"""The U-Net as a trunk between lifting and projection, with room for another module on each of its levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdeops.errors import InputError

Norm = Literal["batch", "instance", "group"]
CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
BATCH = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
LAYOUT = {1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d}


class UNet(nn.Module):
    """(B, width, *n) -> the same shape, any n, in one to three dimensions.

    `levels` levels of (3^d convolution, norm, ReLU) twice, of width, 2 width, 4 width, ... channels, the coarsest as
    many as the one before it; between them a maximum over 2^d nodes on the way down, and on the way up linear
    interpolation onto twice the nodes, from end to end, beside the level's own features, which go through the module
    `across[l]` before. Fields are padded by zeros at their high ends to multiples of 2^(levels - 1) nodes, and cut.

    norm: over the batch and all nodes (statistics of the training set when evaluating), or of each sample alone over
    its nodes and one channel ("instance") or a quarter of the channels ("group"). In two and three dimensions, channels
    come last in memory.

    Source: Ronneberger, Fischer and Brox, MICCAI 2015; as in thuml's Latent-Spectral-Models. Raises InputError on sizes
    and names out of range, and where a norm would see a single number.
    """

    def __init__(self, ndim: int, width: int, levels: int = 5, norm: Norm = "group") -> None:
        super().__init__()
        if norm not in get_args(Norm):
            raise InputError(f"model.norm={norm!r}; wanted one of {get_args(Norm)}")
        if width < 1:
            raise InputError(f"model.width={width}: wanted at least 1")
        if levels < 2:
            raise InputError(f"model.levels={levels}: wanted at least 2")
        if norm == "group" and width % 4:
            raise InputError(f"model.norm=group has four groups of channels; model.width={width} is no multiple of 4")
        self.ndim, self.levels, self.norm = ndim, levels, norm
        widths = [width * 2**l for l in range(levels - 1)]
        widths.append(widths[-1])
        self.widths = tuple(widths)
        self.down = nn.ModuleList(_twice(ndim, a, b, b, norm) for a, b in pairwise([width, *widths]))
        self.across = nn.ModuleList(nn.Identity() for _ in widths)
        outs = [width, *widths[:-2]]  # of the way up, by level
        self.up = nn.ModuleList(_twice(ndim, 2 * c, c, out, norm) for c, out in zip(widths[:-1], outs, strict=True))

    def forward(self, v: Tensor) -> Tensor:
        n = v.shape[2:]
        v = self._padded(v).contiguous(memory_format=LAYOUT[self.ndim])
        skips = [v := self.down[0](v)]
        for down in self.down[1:]:
            skips.append(v := down(POOL[self.ndim](v, 2)))
        v = self.across[-1](v)
        for across, up, skip in reversed(list(zip(self.across[:-1], self.up, skips[:-1], strict=True))):
            v = F.interpolate(v, scale_factor=2, mode=LINEAR[self.ndim], align_corners=True)
            v = up(torch.cat([across(skip), v], 1))
        for dim, k in enumerate(n, 2):
            if k < v.shape[dim]:
                v = v.narrow(dim, 0, k)
        return v

    def _padded(self, v: Tensor) -> Tensor:
        n, multiple = v.shape[2:], 2 ** (self.levels - 1)
        extra = [-k % multiple for k in n]
        single = all(k + e == multiple for k, e in zip(n, extra, strict=True))
        if single and (self.norm == "instance" or (self.norm == "batch" and self.training and len(v) == 1)):
            raise InputError(
                f"a field of {' x '.join(map(str, n))} nodes is one node on the coarsest of {self.levels} levels, of "
                f"which model.norm={self.norm} leaves nothing: take model.norm=group, fewer levels or more nodes"
            )
        return F.pad(v, _low_and_high(extra)) if any(extra) else v


def check_levels(levels: int, n: Sequence[int]) -> None:
    """Raise InputError on fewer than two levels, and where padding would more than double the nodes of every axis."""
    most = (max(n) - 1).bit_length() + 1
    if not 2 <= levels <= max(most, 2):
        raise InputError(f"model.levels={levels}: wanted 2 to {max(most, 2)} on {' x '.join(map(str, n))} nodes")


def _low_and_high(extra: Sequence[int]) -> list[int]:
    return [e for k in reversed(extra) for e in (0, k)]


def _twice(ndim: int, n_in: int, middle: int, n_out: int, norm: Norm) -> nn.Sequential:
    parts: list[nn.Module] = []
    for a, b in ((n_in, middle), (middle, n_out)):
        conv = CONV[ndim](a, b, kernel_size=3, padding=1, bias=False)
        groups = {"instance": b, "group": 4}
        parts += [conv, BATCH[ndim](b) if norm == "batch" else nn.GroupNorm(groups[norm], b), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)
