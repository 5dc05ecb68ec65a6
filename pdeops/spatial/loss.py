"""Errors of fields that are dealt over several processes."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh

from pdeops.grid import Grid
from pdeops.losses.supervised import reference_of
from pdeops.nn.distributed import joint, share
from pdeops.norms import relative_error, root
from pdeops.window import Batch


class DistributedRelativeL2:
    """`RelativeLp` with p = 2, mean over samples and channels of ||u - v|| / ||v||, the norms over the nodes of all
    processes: (B, C, n_p, *n) -> the same number in each, whose gradient is that of the whole by its nodes.
    """

    def __init__(self, grid: Grid, mesh: DeviceMesh) -> None:
        self.mesh = mesh
        self.weights = grid[0].weights()[share(grid[0].n, mesh)]
        for axis in grid[1:]:
            self.weights = self.weights.unsqueeze(-1) * axis.weights()

    def __call__(self, u: Tensor, batch: Batch) -> Tensor:
        return relative_error(u, reference_of(batch), self._norm).mean()

    def _norm(self, u: Tensor) -> Tensor:
        self.weights = self.weights.to(u)
        here = (self.weights * u.square()).sum(tuple(range(2, u.ndim)))
        return root(joint(here, self.mesh), 2)
