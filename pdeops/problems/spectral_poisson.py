"""Poisson's equation by spectral methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pdeops.bases.differences import differentiation_matrix
from pdeops.bases.fourier import Fourier, derivative
from pdeops.errors import InputError
from pdeops.grid import Axis, Boundary, Grid
from pdeops.problems.base import Problem, Progress, Solution
from pdeops.problems.inputs import Inputs, PeriodicKernel

Nodes = Literal["periodic", "chebyshev"]
TOLERANCE = 1e-8  # of the relative residual: round-off, but for thousands of nodes


@dataclass(kw_only=True, eq=False)
class SpectralPoisson(Problem):
    """-Laplace u = f on a square, f a sample of `source`: on a torus by division by the symbol, f and u without their
    means; between walls, u = 0, by collocation on chebyshev nodes and the eigenvectors of its second derivatives.

    Source: the problems of Du, Chalapathi and Krishnapriyan, Neural spectral methods, ICLR 2024 (their periodic u
    vanishes at the origin and not in the mean); collocation: Haidvogel and Zang, J. Comput. Phys. 30 (1979).
    Raises InputError on other nodes and sizes.
    """

    name = "spectral_poisson"
    in_names = ("source",)
    out_names = ("u",)

    n: int = 64
    length: float = 1.0
    nodes: Nodes = "periodic"
    source: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.2))

    def __post_init__(self) -> None:
        if self.nodes not in get_args(Nodes):
            raise InputError(f"problem.nodes={self.nodes!r}; wanted one of {get_args(Nodes)}")
        if not 4 <= self.n <= 512 or not 0 < self.length < inf:
            raise InputError(f"problem.n={self.n}, problem.length={self.length}: wanted 4 <= n <= 512 and length > 0")

    @property
    def grid(self) -> Grid:
        bc: Boundary = "periodic" if self.nodes == "periodic" else "dirichlet"
        return Grid(Axis(x, self.n, self.length, self.nodes, bc=bc) for x in "xy")

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        return self.source(self.grid, indices, seed)

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        f = a.double()
        if self.nodes == "periodic":
            basis = Fourier(self.grid, degree=1, device=a.device)
            u = basis.to_values(torch.where(basis.k2 > 0, basis.to_modes(f) / basis.k2, 0.0))
        else:
            values, vectors, inverse = (torch.from_numpy(x).to(f) for x in _eigenvectors(self.grid[0]))
            c = inverse @ f[..., 1:-1, 1:-1] @ inverse.T
            u = torch.nn.functional.pad(vectors @ (-c / (values[:, None] + values)) @ vectors.T, [1, 1, 1, 1])
        size = torch.linalg.vector_norm(f.flatten(1), dim=1)
        size = torch.where(size > 0, size, 1.0)
        residual = torch.linalg.vector_norm(self.residual(f, u, self.grid).flatten(1), dim=1) / size
        if progress:
            progress(1.0)
        return Solution(u, residual, residual <= TOLERANCE, residual)

    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """f + Laplace u by spectral derivatives, of f without its mean and Nyquist modes on a torus; -u on the walls.

        Raises InputError on grids that are not this problem's, but for the number of nodes."""
        if grid != self.grid.resized(grid.shape):
            raise InputError(f"{self.name}: the residual is formed on {self.grid}; got a field on {grid}")
        if self.nodes == "periodic":
            basis = Fourier(grid, degree=1, device=u.device, dtype=u.dtype)
            f = basis.to_values(torch.where(basis.k2 > 0, basis.to_modes(a), 0.0))
            return f + sum(derivative(u, axis, dim, 2) for dim, axis in enumerate(grid, 2))
        second = [torch.from_numpy(_second(axis)).to(u) for axis in grid]
        r = a + second[0] @ u + u @ second[1].T
        return torch.nn.functional.pad(r[..., 1:-1, 1:-1], [1, 1, 1, 1]) - (u - self.constrain(a, u, grid))

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with zeros on the walls; on a torus, without its mean."""
        if self.nodes == "periodic":
            return u - u.mean((-2, -1), keepdim=True)
        return torch.nn.functional.pad(u[..., 1:-1, 1:-1], [1, 1, 1, 1])


@lru_cache(maxsize=8)
def _second(axis: Axis) -> np.ndarray:
    first = differentiation_matrix(axis.points(), order=axis.n - 1).numpy()
    return first @ first


@lru_cache(maxsize=8)
def _eigenvectors(axis: Axis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the second derivative of values that vanish at the ends: eigenvalues, vectors in columns, their inverse."""
    values, vectors = np.linalg.eig(_second(axis)[1:-1, 1:-1])
    return values.real.copy(), vectors.real.copy(), np.linalg.inv(vectors.real)
