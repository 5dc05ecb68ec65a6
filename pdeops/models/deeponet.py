"""Deep operator network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn import branch as branches
from pdeops.nn import trunk as trunks
from pdeops.nn.branch import Branch
from pdeops.nn.jets import Jet, Orders, below, derivative, times
from pdeops.nn.on_grids import check_input
from pdeops.nn.outputs import Outputs, combined, shares
from pdeops.nn.places import walls as distance
from pdeops.nn.queries import query
from pdeops.nn.remembered import Remembered
from pdeops.nn.resample import told
from pdeops.nn.sensors import WAYS, Resolution, check_resolution, sensed
from pdeops.nn.trunk import Trunk, jet

BRANCH, TRUNK = branches.Dense(), trunks.Dense()


class DeepONet(nn.Module):
    """G(a)(y) = w(y) (sum_k b_k(a) t_k(y) + b_0), b a network of the input, the branch, t one of the place, the trunk.

    Fields in, and values out at any places: on grids, whose axes need not be the input's, at points (N, d), for which
    the trunk is evaluated once for all samples, and at points of each sample, (B, N, d). Without gradients the trunk is
    not evaluated again while places and weights stay the same.

    branch, trunk: what they are (`nn.branch`, `nn.trunk`); features: terms of the sum; outputs: how several outputs
    share them (`nn.outputs.shares`), each with a b_0 of its own. walls: w is the product of 4 s (1 - s) over dirichlet
    axes of grid_out, s in [0, 1], so that outputs are exactly zero on those walls, else w = 1.
    resolution: what is done with an `a` on other nodes than the model was built for. "sensors": it is interpolated to
    those; "native": the branch reads it as it is, where it can (`nn.branch.Spectral`).

    Source: Lu et al., Nature Machine Intelligence 3 (2021), equation 2 and the bias below it; several outputs: Lu et
    al., CMAME 393 (2022), section 3.1.6. Raises InputError on sizes and names out of range, inputs of the wrong shape,
    and places outside the domain of grid_out.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        branch: Branch = BRANCH,
        trunk: Trunk = TRUNK,
        features: int = 128,
        outputs: Outputs = "split_branch",
        walls: bool = False,
        resolution: Resolution = "sensors",
    ) -> None:
        super().__init__()
        self.shares = shares(outputs, features, out_channels)
        check_resolution(resolution, branch)
        if walls and all(axis.bc != "dirichlet" for axis in grid_out):
            raise InputError(f"model.walls=true, but no axis has dirichlet ends: {grid_out}. Leave model.walls=false")
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.branch, self.trunk, self.features, self.outputs = branch, trunk, features, outputs
        self.walls, self.resolution = walls, resolution
        members = self.shares.members
        self.branch_net = branch.build(in_channels, grid_in, self.shares.features, members)
        self.trunk_net = trunk.build(grid_out, self.shares.functions, members)
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.remembered = Remembered()

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out), or at points (N, d) or (B, N, d), in the
        units of grid_out: (B, out_channels, N)."""
        check_input(self, a)
        y, shape = query(self, a, out)
        zero = (0,) * self.grid_out.ndim
        t = self.remembered(lambda: self._functions(y, [zero])[zero], y, self.bias, self.trunk_net)
        return combined(self._coefficients(a), t).unflatten(-1, shape)

    def derivatives(self, a: Tensor, points: Grid | Tensor | None, orders: Sequence[Sequence[int]]) -> list[Tensor]:
        """The derivatives of the output by the coordinates of grid_out, one (B, out_channels, N) or (B, out_channels,
        *grid) for each of `orders`, such as (0, 2): twice along the second axis. points: as `out` of a call.

        Those of the trunk are taken forwards (`nn.jets`) and once for all samples, so that neither their memory nor
        their time grows with the batch. Raises InputError on orders that are not one whole number for each axis, and as
        a call.
        """
        check_input(self, a)
        wanted: list[Orders] = [tuple(alpha) if isinstance(alpha, Sequence) else (alpha,) for alpha in orders]
        d = self.grid_out.ndim
        if any(len(alpha) != d or any(type(m) is not int or m < 0 for m in alpha) for alpha in wanted):
            raise InputError(
                f"orders={wanted}: wanted for each derivative {d} whole numbers from 0 on, one for each of "
                f"{self.grid_out.names}, such as {(0,) * (d - 1) + (2,)}"
            )
        y, shape = query(self, a, points)
        b, t = self._coefficients(a), self._functions(y, below(wanted))
        return [combined(b, derivative(t, alpha)).unflatten(-1, shape) for alpha in wanted]

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of an input of these sizes; None at the trained ones."""
        return told(self, n, WAYS)

    def _coefficients(self, a: Tensor) -> Tensor:
        """(B, outputs, terms + 1), or (B, 1, terms + 1) common to all: the b_k, and what the last function, w or w b_0,
        is multiplied by. So a bias costs no pass over the output, forwards or backwards."""
        b = self.branch_net(sensed(self, a)).unflatten(1, (self.shares.branch, self.shares.terms))
        last = b.new_ones(1) if self._bias_in_functions else self.bias.to(b)
        return torch.cat([b, last.view(-1, 1).expand(*b.shape[:2], 1)], -1)

    def _functions(self, y: Tensor, keys: Sequence[Orders]) -> Jet:
        """(outputs, N, terms + 1), or (1, N, terms + 1) common to all, after the batch's axis if each sample has places
        of its own: the w t_k, and w or w b_0; with derivatives `keys`, as `nn.jets` has them."""
        t, zero = jet(self.trunk_net, y, keys), keys[0]
        t = {alpha: u.unflatten(-1, (self.shares.trunk, self.shares.terms)).movedim(-2, -3) for alpha, u in t.items()}
        last = self.bias.to(t[zero]).view(-1, 1, 1) if self._bias_in_functions else t[zero].new_ones(1)
        for alpha, u in t.items():
            own = last if alpha == zero else last.new_zeros(1)
            t[alpha] = torch.cat([u, own.expand(*u.shape[:-1], 1)], -1)
        if not self.walls:
            return t
        w = distance(y, self.grid_out, keys)
        return times(t, {alpha: u.to(t[zero])[..., None, :, None] for alpha, u in w.items()}, keys)

    @property
    def _bias_in_functions(self) -> bool:
        """Where outputs have features in common."""
        return self.shares.branch < self.out_channels
