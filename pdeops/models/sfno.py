"""Spatiotemporal Fourier neural operator."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from torch import Tensor, nn

from pdeops.bases.fourier import resample, solenoidal
from pdeops.bases.tables import Ansatz, Fourier, Increment
from pdeops.constants import constant
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn.block import Block
from pdeops.nn.mlp import MLP
from pdeops.nn.on_grids import check_input
from pdeops.nn.pointwise import Pointwise
from pdeops.nn.spectral_conv import SpectralConv, Transform


class SFNO(nn.Module):
    """History frames in, the window's later frames out, at any times: u(t) = w + g(t) - g(0), w the last frame, at 0.

    g is a Fourier series in space and time, S_out v; its period is the output window and `padding` times its length
    more, so that nothing forces the window's ends together. v lives on a lattice of `latent_steps` times per period:

        v_0 = B_0(S_0 P(a, x), P(a, x)(0) + E(t)),   v_l = B_l(S_l v_(l-1), v_(l-1)),   v = Q(v_L)

    with the FNO's blocks B (`nn.block`), perceptrons P and Q on every node, and an encoding E of the time. S_0 takes
    the history to the period, coefficient by coefficient. The initial condition is exact for any weights, and frames of
    any number are those of one function of t. "S" stands for spatiotemporal: the spherical FNO, SFNO too
    (torch-harmonics), is another operator, with harmonics of the sphere in space and no time axis.

    `data.window.history=time`: grids (time, *space), one to three periodic axes of space, `right` nodes in time. The
    first `out_channels` inputs are the histories of the outputs, the others static. Any resolution of `a` in time and
    space; `out`: another lattice of the same space, and another time axis from the same start, not beyond the period
    (past the trained window nothing was learned).

    width, depth, mlp_ratio, modes: as in `FNO` (modes of space, one for all axes or one each); time_modes: of the
    series in time; coordinates: append cos and sin of 2 pi x / length to the input, and give S_out a bias (without, the
    operator commutes with translations); divergence_free: project the velocity u, one component per axis of space, by
    Helmholtz, in the units the model sees, which must be the same for all components.

    Source: Cao et al., ICLR 2025 (arXiv 2405.17211), whose code's output is not tied to w, whose amplitude changes with
    the number of frames, and whose encoding jumps at the seam. Raises InputError on sizes out of range, other axes, and
    inputs of the wrong shape.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        width: int = 32,
        modes: int | Sequence[int] = 16,
        time_modes: int = 9,
        depth: int = 4,
        latent_steps: int = 10,
        padding: float = 0.5,
        mlp_ratio: float = 1.0,
        coordinates: bool = True,
        divergence_free: bool = False,
    ) -> None:
        super().__init__()
        _check_grids(grid_in, grid_out)
        d = grid_in.space.ndim
        if min(width, depth, time_modes, latent_steps) < 1:
            raise InputError(f"model.{width=}, {depth=}, {time_modes=}, {latent_steps=}: wanted at least 1 of each")
        if not padding >= 0 or not mlp_ratio >= 0:
            raise InputError(f"model.{padding=}, {mlp_ratio=}: wanted at least 0")
        self.modes = (modes,) * d if isinstance(modes, int) else tuple(modes)
        if len(self.modes) != d or min(self.modes) < 1:
            raise InputError(
                f"model.modes={list(self.modes)}; wanted one or {d}, one for each of {grid_in.space.names}, at least 1"
            )
        if in_channels < out_channels:
            raise InputError(f"{in_channels} channels in, {out_channels} out: an SFNO has each output's history in")
        if divergence_free and out_channels != d:
            raise InputError(
                f"model.divergence_free: a velocity has {d} components on this grid; this output has {out_channels}"
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.grid_in, self.grid_out = grid_in, grid_out
        self.width, self.time_modes, self.depth = width, time_modes, depth
        self.latent_steps, self.padding, self.mlp_ratio = latent_steps, padding, mlp_ratio
        self.coordinates, self.divergence_free = coordinates, divergence_free

        self.period = (1 + padding) * grid_out[0].length
        kept, space = (time_modes, *self.modes), [Fourier(half=i == d - 1) for i in range(d)]
        self.lifting = MLP(in_channels + (2 * d if coordinates else 0), 2 * width, width)
        self.time = Pointwise(2 * (latent_steps // 2), width)
        blocks = []
        for l in range(depth):
            # history frames end at t = 0, where the latent lattice begins
            convolved = SpectralConv(width, width, kept, bases=[Fourier(False, 0.0 if l else 1.0), *space])
            blocks.append(Block(convolved, width, round(mlp_ratio * width)))
        self.blocks = nn.ModuleList(blocks)
        self.projection = MLP(width, 2 * width, out_channels)
        series = Increment(False, times=grid_out[0], period=self.period)
        self.output = SpectralConv(out_channels, out_channels, kept, bases=[series, *space], bias=coordinates)
        with torch.no_grad():  # the identity at first: g is v
            tensor = self.output.weight.get_parameter("tensor").zero_()
            tensor[..., :out_channels] = torch.eye(out_channels)

    @property
    def ansatz(self) -> Ansatz:
        """The series in time that the output is."""
        return Ansatz(self.period, self.output.modes[0], 0.0)

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, n_in, *space) -> (B, out_channels, n_out, *space), or on `out`, a grid in space and time, or
        in space alone."""
        return self.head(self.features(a), a, out)

    def features(self, a: Tensor) -> Tensor:
        """What the output layer sees, (B, latent_steps, *space, out_channels)."""
        self._check(a)
        if self.coordinates:
            x = _encoding(self.grid_in.space, tuple(a.shape[3:]), a.dtype, a.device)
            a = torch.cat([a, x[:, None].expand(a.shape[0], -1, a.shape[2], *x.shape[1:])], dim=1)
        v = self.lifting(a.movedim(1, -1))
        t = self.time(_times(None, (self.latent_steps,), v.dtype, v.device)[None])
        at_out = v[:, -1:] + t.view(1, -1, *(1,) * (a.ndim - 3), self.width)
        for l, block in enumerate(self.blocks):
            v = block(v) if l else block(v, at_out)
        return self.projection(v)

    def head(self, v: Tensor, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """`forward` from these `features`: the linear layer `output` and the initial condition."""
        grid = self._grid(a, out)
        n_in, stored = v.shape[1:-1], self.output.stored
        transform = self.output.transform
        if grid[0] != self.grid_out[0]:
            series = Increment(False, times=grid[0], period=self.period)
            transform = Transform([series, *transform.bases[1:]])
        z = self.output.coefficients(v, (max(n_in[0], stored[0]), *grid.space.shape))
        growth = transform.synthesise(z, n_in, grid.shape, stored).movedim(-1, 1)
        u = resample(a[:, : self.out_channels, -1], grid.space.shape).unsqueeze(2) + growth
        return solenoidal(u, grid.space) if self.divergence_free else u

    def _check(self, a: Tensor) -> None:
        check_input(self, a)

    def _grid(self, a: Tensor, out: Grid | Tensor | None) -> Grid:
        """Where the output is wanted; without `out` at the resolution of `a` in space, as trained in time."""
        if out is None:
            pairs = zip(a.shape[3:], self.grid_in.space.shape, self.grid_out.space.shape, strict=True)
            return self.grid_out[:1] + self.grid_out.space.resized(
                [new if n == trained else round(n * new / trained) for n, trained, new in pairs]
            )
        if not isinstance(out, Grid):
            raise InputError("an SFNO evaluates on grids, not at scattered points: give out=Grid(...)")
        own = self.grid_out
        if out.names == own.space.names:  # at the trained times
            out = own[:1] + out
        times = out.time
        if times is None or out.names != own.names or out.space != own.space.resized(out.space.shape):
            raise InputError(f"out={out} is not this SFNO's output grid with other numbers of nodes: {own}")
        if times.start != own[0].start or times.length > self.period * (1 + 1e-9):
            raise InputError(
                f"out has times from {times.start:g} to {times.start + times.length:g}: this SFNO's series starts at 0 "
                f"and repeats itself after {self.period:g} (it was trained up to {own[0].length:g})"
            )
        return out


def _check_grids(grid_in: Grid, grid_out: Grid) -> None:
    before, after = grid_in.time, grid_out.time
    if before is None or after is None:
        raise InputError(
            "an SFNO maps frames to frames, on a time axis: set data.window.history=time, or, for data without time, "
            "take another model"
        )
    ends = before.start + before.length, after.start
    if (before.nodes, after.nodes) != ("right", "right") or max(map(abs, ends)) > 1e-9 * after.length:
        raise InputError(
            f"an SFNO's history ends and its output starts at t = 0, with right nodes; got {grid_in[:1]} in and "
            f"{grid_out[:1]} out"
        )
    if grid_in.names != grid_out.names or not 1 <= grid_in.space.ndim <= 3:
        raise InputError(f"an SFNO keeps its one to three axes of space; got {grid_in} in and {grid_out} out")
    for axis in grid_in.space:
        if not axis.periodic:
            raise InputError(f"an SFNO's space is periodic; axis {axis.name!r} has {axis.nodes} nodes: take model=fno")


@constant
def _encoding(space: Grid, n: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(2 d, *n): cos and sin of 2 pi (x - start) / length of each axis."""
    angles = [2 * pi * torch.arange(k, dtype=torch.float64) / k for k in n]
    waves = [f(x) for x in torch.meshgrid(*angles, indexing="ij") for f in (torch.cos, torch.sin)]
    return torch.stack(waves).to(device, dtype)


@constant
def _times(_: None, n: tuple[int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(n, 2 floor(n/2)): cos and sin of 2 pi f t / period, f = 1 .. n/2, on n nodes of a period from t = 0 on."""
    t = torch.arange(n[0], dtype=torch.float64) / n[0]
    angle = 2 * pi * torch.outer(t, torch.arange(1, n[0] // 2 + 1, dtype=torch.float64))
    return torch.cat([angle.cos(), angle.sin()], 1).to(device, dtype)
