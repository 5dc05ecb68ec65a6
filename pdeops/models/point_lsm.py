"""Latent spectral model of fields at scattered points."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn import nonuniform
from pdeops.nn.coordinates import coordinates
from pdeops.nn.deformation import Deformation
from pdeops.nn.latent_spectral import with_blocks
from pdeops.nn.mlp import MLP
from pdeops.nn.on_grids import check_axes, check_input, for_each_axis, nodes_wanted
from pdeops.nn.on_points import check_values, grid_there, nodes, points_there, scaled
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.spectral_conv import SpectralConv
from pdeops.nn.unet import Norm, UNet, check_levels
from pdeops.points import Points


class PointLSM(nn.Module):
    """u = Q(F_xi^-1 R_2 F trunk(gelu(F^-1 R_1 F_xi P(a, x) + W_1 y)) + W_2 x), values at points in, values at points
    out: P and W linear, R one complex matrix per mode, y the places of a latent lattice, the trunk an LSM's.

    F_xi are the Fourier coefficients of values at the points xi, x by a learned change of coordinates (`deformation`):
    the mean, by the points' weights, of v exp(-2 pi i f . xi), so that they converge as points become more. Points are
    taken a few at a time, forward and backward, so that memory does not grow with points times modes.

    A grid is the points of its nodes, with their weights; scattered ones go through `at`. latent: nodes per axis of the
    latent lattice, on the domain of grid_in; modes: kept of both transforms per axis, both signs together; code: how
    many numbers describe a sample as a whole (`at`), seen by the deformation; other options as `LSM`'s.

    Source: Wu et al., ICML 2023, Elasticity, whose coefficients are sums over the points and so grow with their number,
    and whose series at the points takes conjugates at -1 - f in place of -f along the first axis.
    Raises InputError on sizes and names out of range, and inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 32,
        latent: int = 64,
        modes: int | Sequence[int] = 24,
        levels: int = 5,
        heads: int = 8,
        tokens: int = 4,
        basis: int = 12,
        projection: int = 128,
        norm: Norm = "group",
        deformation: bool = True,
        code: int = 0,
    ) -> None:
        super().__init__()
        d = grid_in.ndim
        check_axes(type(self).__name__, grid_in, grid_out)
        for key, size, least in (("width", width, 1), ("projection", projection, 1), ("code", code, 0)):
            if size < least:
                raise InputError(f"model.{key}={size}: wanted at least {least}")
        check_levels(levels, (latent,) * d)
        if code and not deformation:
            raise InputError(f"model.code={code} is what the deformation sees, and there is none: model.code=0")
        self.modes = for_each_axis("modes", modes, grid_in)
        if not 1 <= min(self.modes) <= max(self.modes) <= latent:
            raise InputError(
                f"model.modes={list(self.modes)}, model.latent={latent}: wanted modes that so many nodes hold"
            )
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.width, self.latent, self.levels, self.heads = width, latent, levels, heads
        self.tokens, self.basis, self.projection, self.norm = tokens, basis, projection, norm
        self.deformation, self.code = deformation, code
        self.lattice = Grid(Axis(axis.name, latent, axis.length, start=axis.start) for axis in grid_in)
        self.lifting = Pointwise(in_channels + d, width)
        self.warp = Deformation(d, code) if deformation else None
        self.inward, self.outward = (SpectralConv(width, width, self.modes) for _ in range(2))
        self.latent_places, self.places = Pointwise(d, width), Pointwise(d, width)
        self.trunk = with_blocks(UNet(d, width, levels, norm), heads=heads, tokens=tokens, basis=basis, scaled=False)
        self.head = MLP(width, projection, out_channels)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out), on another grid of these axes, or at points
        (N, d) or (B, N, d): (B, out_channels, N)."""
        own = self.grid_in
        check_input(self, a)
        if self.code:
            raise InputError(f"model.code={self.code} numbers of a sample come with scattered points alone: call `at`")
        places, values = nodes(own.resized(a.shape[2:]), a), a.flatten(2)
        if isinstance(out, Tensor):
            return self.at(values, places, points_there(self, out, a))
        to = grid_there(self, self.grid_out.resized(nodes_wanted(self, a.shape[2:], out)))
        same = own.resized(a.shape[2:]) == to
        return self.at(values, places, None if same else nodes(to, a)).unflatten(2, to.shape)

    def at(self, a: Tensor, points: Points, out: Points | None = None, code: Tensor | None = None) -> Tensor:
        """(B, in_channels, N), values at the points -> (B, out_channels, N), or at the points `out`. code: (B, code).

        Values at points whose mask is False are 0 in the output, and do not matter in the input. Places stand in the
        domain of grid_in, of whose nodes nothing is used here.
        """
        self._check(a, points, out, code)
        x, xi = self._places(points, a, code)
        if points.mask is not None:
            a = torch.where(points.mask.unsqueeze(1), a, 0.0)
        v = self.lifting(torch.cat([a.movedim(1, -1), x.to(a).expand(a.shape[0], -1, -1)], -1))
        n = self.lattice.shape
        z = nonuniform.analyse(v, xi, points.measure(), self.inward.modes)
        z = self.inward.weight(z, (0,) * len(n))
        field = self.inward.transform.synthesise(z, n, n, self.inward.stored)
        field = F.gelu(field + self.latent_places(coordinates(self.lattice, n, a).movedim(0, -1).unsqueeze(0)))
        field = self.trunk(field.movedim(-1, 1)).movedim(1, -1)
        if out is not None:
            points = out
            x, xi = self._places(out, a, code)
        z = self.outward.coefficients(field, n)
        u = self.head(nonuniform.synthesise(z, xi, self.outward.modes) + self.places(x.to(a))).movedim(-1, 1)
        return u if points.mask is None else u.masked_fill(~points.mask.unsqueeze(1), 0.0)

    def _places(self, points: Points, a: Tensor, code: Tensor | None) -> tuple[Tensor, Tensor]:
        """x and xi, (B or 1, N, d), the domain scaled to [0, 1]; in single precision at least."""
        x = scaled(self, points, a)
        return x, x if self.warp is None else self.warp(x, code)

    def _check(self, a: Tensor, points: Points, out: Points | None, code: Tensor | None) -> None:
        check_values(self, a, points, out)
        given, wanted = None if code is None else tuple(code.shape), (a.shape[0], self.code) if self.code else None
        if given != wanted:
            raise InputError(f"a code of shape {given}; wanted {wanted} (model.code={self.code})")
