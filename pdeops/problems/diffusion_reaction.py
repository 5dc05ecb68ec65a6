"""Diffusion and reaction on an interval under a source, a DeepONet example."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pdeops.bases.legendre import Legendre
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.evolution import Coefficient, Evolution, Tendency
from pdeops.problems.inputs import Inputs
from pdeops.problems.processes import GaussianProcess


@dataclass(kw_only=True, eq=False)
class DiffusionReaction(Evolution):
    """s_t = diffusivity s_xx + rate s^2 + u(x) on [0, length], s = 0 at both ends and at t = 0; the source u is a
    sample of `initial`.

    In space a Legendre-Galerkin method on polynomials that vanish at the ends. The source does not: the equation, and
    with it the residual, is that of its L2 projections. Near t = 0 the solution has layers of width
    sqrt(diffusivity t) at the ends, which the stored nodes resolve only after some time.
    Source: Lu et al., Learning nonlinear operators via DeepONet, Nature Machine Intelligence 3 (2021), with
    diffusivity and rate 0.01 on 100 x 100 nodes of [0, 1] x [0, 1].
    Raises InputError as every evolution does, below eight nodes, and on a resolution other than n.
    """

    name = "diffusion_reaction"
    dimensions = 1
    out_names = ("s",)
    given = ("source",)
    coefficients = ("diffusivity", "rate")
    nonnegative = ("diffusivity",)

    n: int = 100
    frames: int = 99
    diffusivity: Coefficient = 0.01
    rate: Coefficient = 0.01
    initial: Inputs = field(default_factory=GaussianProcess)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 8 or self.resolution not in (None, self.n):
            raise InputError(
                f"problem.n={self.n}, problem.resolution={self.resolution}: wanted n >= 8, and no other "
                "resolution, since the source is stored on the n nodes. Raise problem.n."
            )

    def _lattice(self, n: int) -> Grid:
        return Grid((Axis("x", n, self.length, "uniform", bc="dirichlet"),))

    def basis(  # type: ignore[override]
        self, space: Grid, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64
    ) -> Legendre:
        return Legendre(space, degree=self.degree, device=device, dtype=dtype)

    def start_from(self, fields: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(fields), fields], dim=1)

    def linear(self, basis: Legendre, a: Tensor) -> Tensor:  # type: ignore[override]
        return -self.coefficient("diffusivity", a) * basis.k2

    def nonlinear(self, basis: Legendre, a: Tensor) -> Tendency:  # type: ignore[override]
        rate, source = self.coefficient("rate", a), basis.to_modes(self._source(a))
        return lambda c: rate * basis.to_modes(basis.to_fine(c).square()) + source

    def _source(self, a: Tensor) -> Tensor:
        """The channel of the source (B, 1, x), of inputs with or without a time axis."""
        channel = self.channel("source", a).unsqueeze(1)
        return channel if channel.ndim == 3 else channel[:, :, 0]

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with zeros at both ends."""
        ends = torch.zeros_like(u[..., :1])
        return torch.cat([ends, u[..., 1:-1], ends], dim=-1)
