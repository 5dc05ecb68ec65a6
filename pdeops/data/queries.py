"""Training at some nodes of the output grid, drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from pdeops.data.dataset import Windows
from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.window import Batch

Draws = Literal["batch", "sample", "fixed"]


class Queries:
    """`n` nodes of a grid in the place of all: `Batch.out` are their coordinates, `Batch.u` the values there.

    Draw k, of n, is the node at the quantile (k + U_k) / n of the quadrature weights in the order of the nodes, U_k
    uniform on [0, 1). So node i comes n w_i / sum w times in the mean, a plain mean over the draws is an unbiased
    estimate of the mean over the domain, with a variance of at most that of independent draws, and as many draws as
    nodes of equal weights are all nodes. No node is left out: where the problem imposes values, too.
    Raises InputError unless 1 <= n <= the grid's nodes.
    """

    def __init__(self, grid: Grid, n: int) -> None:
        weights = grid.weights().flatten()
        if not 1 <= n <= len(weights):
            raise InputError(
                f"data.queries={n}: wanted 1 to {len(weights)} nodes of the output {grid}, or null for all"
            )
        self.n = n
        self._quantiles = (weights / weights.sum()).cumsum(0)
        self._places = grid.points().flatten(0, -2)

    def nodes(self, uniform: Tensor) -> Tensor:
        """The nodes (..., n) that uniform numbers U (..., n) in [0, 1), float64, choose."""
        where = (torch.arange(self.n, device=uniform.device) + uniform) / self.n
        quantiles = self._quantiles = self._quantiles.to(uniform.device)  # moved once
        return torch.searchsorted(quantiles, where, right=True).clamp_max(len(quantiles) - 1)

    def at(self, batch: Batch, nodes: Tensor) -> Batch:
        """The batch at nodes (n,), or (B, n) where each sample has its own."""
        self._places = self._places.to(nodes.device)
        out = self._places[nodes].to(torch.promote_types(batch.a.dtype, torch.float32))  # half cannot tell places
        if batch.u is None:
            return batch._replace(out=out)
        u = batch.u.flatten(2)
        chosen = u[..., nodes] if nodes.ndim == 1 else u.gather(2, nodes.unsqueeze(1).expand(-1, u.shape[1], -1))
        return batch._replace(u=chosen, out=out)


class Fixed(Dataset[Batch]):
    """Windows with nodes of their own, `Batch.out` (B, n), for `Queries.at`: the same for a window in all epochs and on
    all processes, drawn by `seed`. Whole numbers, since on its way to a device a batch's places would become bfloat16
    where the model is."""

    def __init__(self, windows: Windows, queries: Queries, seed: int) -> None:
        self.windows, self.queries = windows, queries
        generator = torch.Generator().manual_seed(seed)
        self.nodes = queries.nodes(torch.rand(len(windows), queries.n, generator=generator, dtype=torch.float64))

    def __len__(self) -> int:
        return len(self.windows)

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        batch = self.windows.__getitems__(indices)
        return batch._replace(out=self.nodes[torch.as_tensor(indices)].to(batch.a.device))
