"""Latent spectral model."""

from __future__ import annotations

from pdeops.grid import Grid
from pdeops.models.unet import Resolution, UNet
from pdeops.nn.latent_spectral import with_blocks
from pdeops.nn.unet import Norm


class LSM(UNet):
    """A `UNet` whose trunk has neural spectral blocks on its levels (`nn.latent_spectral.with_blocks`).

    heads, tokens, basis: of the blocks; scaled: their logits are divided by the
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
        with_blocks(self.trunk, heads=heads, tokens=tokens, basis=basis, scaled=scaled)
