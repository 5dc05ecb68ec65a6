"""Steady linear PDEs: one sparse system per sample."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from scipy.sparse import sparray, spmatrix
from scipy.sparse.linalg import spsolve
from torch import Tensor

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.problems.base import Problem, Progress, Solution


class Elliptic(Problem):
    """A steady linear PDE: one sparse system per sample."""

    @abstractmethod
    def system(self, a: Tensor) -> tuple[sparray | spmatrix, np.ndarray]:
        """The matrix A and right-hand side b of one input a (C_in, *grid), scaled as the PDE is."""

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        fields, residuals = [], []
        for i, a_i in enumerate(a.cpu().double()):
            matrix, b = self.system(a_i)
            x = spsolve(matrix.tocsc(), b)
            residuals.append(np.linalg.norm(b - matrix @ x) / (np.linalg.norm(b) or 1.0))
            fields.append(torch.from_numpy(x).view(len(self.out_names), *self.grid.shape))
            if progress:
                progress((i + 1) / len(a))
        residual = torch.tensor(residuals, dtype=torch.float64)
        return Solution(torch.stack(fields).to(a.device), residual, residual < 1e-8, residual)

    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """b - A u, the discrete balance of every node."""
        if grid != self.grid:
            raise InputError(f"{self.name}: the residual is formed on {self.grid}; got a field on {grid}")
        rows = []
        for a_i, u_i in zip(a, u, strict=True):
            matrix, b = self.system(a_i.detach().cpu().double())
            coo = matrix.tocoo()
            index = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
            sparse = torch.sparse_coo_tensor(index, torch.from_numpy(coo.data), coo.shape, check_invariants=False).to(
                u_i
            )
            rows.append((torch.from_numpy(b).to(u_i) - sparse @ u_i.flatten()).view(-1, *grid.shape))
        return torch.stack(rows)
