"""Latent spectral model."""

from __future__ import annotations

from torch import nn

from pdeops.grid import Grid
from pdeops.models.unet import Resolution, UNet
from pdeops.nn.latent_spectral import NeuralSpectralBlock
from pdeops.nn.unet import Norm


class LSM(UNet):
    """A `UNet` with a neural spectral block on each level, also the coarsest (`nn.latent_spectral`).

    Patches are counted, 2^(levels - 1), ..., 2, 1 along each axis from the finest level on, so that a patch is the same
    part of the domain at any resolution. heads, tokens, basis: of the blocks; scaled: their logits are divided by the
    root of a head's channels (the published ones are not).

    Source: Wu et al., ICML 2023; thuml's Latent-Spectral-Models, whose weights `lsm_weights.from_lsm` takes over.
    Raises InputError as `UNet` does, and where heads do not divide the width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 32,
        levels: int = 5,
        heads: int = 8,
        tokens: int = 4,
        basis: int = 12,
        scaled: bool = False,
        projection: int = 128,
        norm: Norm = "group",
        resolution: Resolution = "resample",
    ) -> None:
        options = {"width": width, "levels": levels, "projection": projection, "norm": norm, "resolution": resolution}
        super().__init__(in_channels, out_channels, grid_in, grid_out, **options)  # type: ignore[arg-type]
        self.heads, self.tokens, self.basis, self.scaled = heads, tokens, basis, scaled
        self.trunk.across = nn.ModuleList(
            NeuralSpectralBlock(c, 2 ** (levels - 1 - l), heads=heads, tokens=tokens, basis=basis, scaled=scaled)
            for l, c in enumerate(self.trunk.widths)
        )
