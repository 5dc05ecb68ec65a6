"""Deep operator network on functions that are learnt from the outputs at first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.nn import branch as branches
from pdeops.nn.branch import Branch
from pdeops.nn.on_grids import check_input, nodes_wanted
from pdeops.nn.outputs import combined
from pdeops.nn.pod import pod
from pdeops.nn.queries import check_points
from pdeops.nn.resample import OUTWARD, onto_points, resampled, told
from pdeops.nn.sensors import WAYS, Resolution, check_resolution, sensed

BRANCH = branches.Dense()


class PODDeepONet(nn.Module):
    """G(a)(y) = m(y) + sum_k b_k(a) sigma_k phi_k(y), b a network of the input, the branch; m the mean and phi_k the
    first `features` functions of the proper orthogonal decomposition of the training outputs, all channels together
    (`nn.pod.pod`). sigma_k: their deviations along phi_k, so that each b_k has variance one to learn.

    `learn_basis` takes the outputs, once, before training; m and sigma_k phi_k are saved with the weights, as values at
    the nodes of grid_out, and are interpolated to other nodes and to points (`nn.resample`).
    branch, resolution: as `DeepONet`'s.

    Source: Lu et al., CMAME 393 (2022), section 3.1.4, which divides the sum by `features` instead, with functions of
    one size. Raises InputError on sizes and names out of range, inputs of the wrong shape, places outside the domain of
    grid_out, and before there is a basis.
    """

    functions: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        grid_in: Grid,
        grid_out: Grid,
        *,
        branch: Branch = BRANCH,
        features: int = 32,
        resolution: Resolution = "sensors",
    ) -> None:
        super().__init__()
        if features < 1:
            raise InputError(f"model.features={features}: wanted at least 1")
        check_resolution(resolution, branch)
        self.in_channels, self.out_channels, self.grid_in, self.grid_out = in_channels, out_channels, grid_in, grid_out
        self.branch, self.features, self.resolution = branch, features, resolution
        self.branch_net = branch.build(in_channels, grid_in, features)
        # sigma_k phi_k, and m as the last; NaN: not learnt yet
        self.register_buffer("functions", torch.full((out_channels, *grid_out.shape, features + 1), torch.nan))
        self.learnt = False
        self.register_load_state_dict_post_hook(_look)

    def learn_basis(self, fields: Tensor) -> None:
        """Take the functions from training outputs (N, out_channels, *grid_out), as the model is to give them.

        Raises InputError on fields of another shape, or fewer than `features` + 1.
        """
        if fields.ndim < 2 or fields.shape[1] != self.out_channels:
            raise InputError(
                f"fields of shape {tuple(fields.shape)}; wanted {self.out_channels} channels, then the axes"
            )
        mean, functions = pod(fields, self.grid_out, self.features)
        self.functions.copy_(torch.cat([functions, mean.unsqueeze(-1)], -1))
        self.learnt = True

    def forward(self, a: Tensor, out: Grid | Tensor | None = None) -> Tensor:
        """(B, in_channels, *grid_in) -> (B, out_channels, *grid_out or *out), or at points (N, d) or (B, N, d), in the
        units of grid_out: (B, out_channels, N)."""
        check_input(self, a)
        if not self.learnt:
            raise InputError(
                "this PODDeepONet has no basis yet: call learn_basis(training outputs), or load a trained one; "
                "train.py does so"
            )
        b = self.branch_net(sensed(self, a)).unsqueeze(1)
        b = torch.cat([b, b.new_ones(1, 1, 1).expand(b.shape[0], 1, 1)], -1)
        if isinstance(out, Tensor):
            return combined(b, self._at(check_points(self, out, a)).to(b))
        n = nodes_wanted(self, a.shape[2:], out)
        t = resampled(self.functions, self.grid_out, n, OUTWARD)
        return combined(b, t.flatten(1, -2).to(b)).unflatten(-1, n)

    def _at(self, points: Tensor) -> Tensor:
        """(out_channels, N, features + 1), or (B, out_channels, N, features + 1) at points of each sample."""
        t = onto_points(self.functions, self.grid_out, points.flatten(0, -2), OUTWARD)
        return t.unflatten(1, points.shape[:-1]).movedim(0, -3)

    def told(self, n: Sequence[int]) -> str | None:
        """What a user should know of an input of these sizes; None at the trained ones."""
        return told(self, n, WAYS)


def _look(model: PODDeepONet, _: Any) -> None:
    """Whether what has been loaded holds a basis."""
    model.learnt = model.functions.is_meta or not bool(model.functions.isnan().any())
