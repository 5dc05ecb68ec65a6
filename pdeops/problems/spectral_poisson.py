"""Poisson's equation by spectral methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from pdeops.bases.differences import derivative_matrix, interpolation_matrix
from pdeops.bases.expansions import along
from pdeops.bases.fourier import Fourier, derivative
from pdeops.bases.lifts import check_walls, lift_of, outward, traces
from pdeops.bases.polynomials import DIRICHLET, Ends
from pdeops.errors import InputError
from pdeops.grid import Axis, Boundary, Grid
from pdeops.problems.base import Problem, Progress, Solution
from pdeops.problems.inputs import Inputs, PeriodicKernel, apart

Nodes = Literal["periodic", "chebyshev"]
TOLERANCE = 1e-8  # of the relative residual: round-off, but for thousands of nodes


@dataclass(kw_only=True, eq=False)
class SpectralPoisson(Problem):
    """-Laplace u = f on a square, f a sample of `source`: on a torus by division by the symbol, f and u without their
    means; between walls by collocation on chebyshev nodes and the eigenvectors of its second derivatives.

    conditions: of the sides, for each axis [[alpha, beta], [alpha, beta]] of its first and its last side: there
    alpha u + beta du/dn = alpha g + beta dg/dn, n the outward normal, alpha, beta >= 0; an axis that is not named, or
    None: u = g. boundary: the distribution of g, an input channel; of a function with values on the whole square only
    what the sides ask counts, and samples are the function of those data alone (`bases.lifts`). None: g = 0, without a
    channel. Where no side has an alpha, a constant is added to f so that f and the flux balance, and u has no mean.

    Source: the problems of Du, Chalapathi and Krishnapriyan, Neural spectral methods, ICLR 2024 (their periodic u
    vanishes at the origin and not in the mean); collocation: Haidvogel and Zang, J. Comput. Phys. 30 (1979); its
    eigenvalues are real: Gottlieb and Lustman, SIAM J. Numer. Anal. 20 (1983).
    Raises InputError on other nodes, sizes and conditions.
    """

    name = "spectral_poisson"
    out_names = ("u",)
    lifts = True

    n: int = 64
    length: float = 1.0
    nodes: Nodes = "periodic"
    source: Inputs = field(default_factory=lambda: PeriodicKernel(width=0.2))
    conditions: Mapping[str, Sequence[Sequence[float]]] | None = None
    boundary: Inputs | None = None

    def __post_init__(self) -> None:
        if self.nodes not in get_args(Nodes):
            raise InputError(f"problem.nodes={self.nodes!r}; wanted one of {get_args(Nodes)}")
        if not 4 <= self.n <= 512 or not 0 < self.length < inf:
            raise InputError(f"problem.n={self.n}, problem.length={self.length}: wanted 4 <= n <= 512 and length > 0")
        if self.nodes == "periodic" and (self.conditions or self.boundary):
            raise InputError("problem.conditions and problem.boundary are of walls: set problem.nodes=chebyshev")
        for name, sides in (self.conditions or {}).items():
            pairs = [tuple(side) for side in sides]
            fit = len(pairs) == 2 and all(len(p) == 2 and min(p) >= 0 and 0 < max(p) < inf for p in pairs)
            if name not in ("x", "y") or not fit:
                raise InputError(
                    f"problem.conditions.{name}={list(sides)}: wanted [[alpha, beta], [alpha, beta]] for the first and "
                    "the last side of x or y, none of the numbers negative and one of each pair positive"
                )
        check_walls(self.grid, self.walls)

    @property
    def in_names(self) -> tuple[str, ...]:
        return ("source",) if self.boundary is None else ("source", "boundary")

    @property
    def walls(self) -> dict[str, Ends]:
        """The conditions at the ends of each axis, of slopes along it; of a torus none."""
        if self.nodes == "periodic":
            return {}
        given = {x: outward(sides) for x, sides in (self.conditions or {}).items()}
        return {x: given.get(x, (DIRICHLET, DIRICHLET)) for x in "xy"}

    @property
    def symmetric(self) -> bool:
        return self.walls.get("x") == self.walls.get("y")

    @property
    def balanced(self) -> bool:
        """Whether u is known up to a constant, and f has to balance the flux."""
        return all(condition.alpha == 0 for ends in self.walls.values() for condition in ends)

    @property
    def grid(self) -> Grid:
        return Grid(Axis(x, self.n, self.length, self.nodes, bc=_type(self.walls.get(x))) for x in "xy")

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        f = self.source(self.grid, indices, seed)
        if self.boundary is None:
            return f
        g = self.boundary(self.grid, indices, apart(seed, "boundary"))
        return torch.cat([f, lift_of(g, self.grid, self.walls)], dim=1)

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        a = a.double()
        f = a[:, :1]
        if self.nodes == "periodic":
            basis = Fourier(self.grid, degree=1, device=a.device)
            u = basis.to_values(torch.where(basis.k2 > 0, basis.to_modes(f) / basis.k2, 0.0))
        else:
            u = self._collocated(f, lift_of(self._given(a, self.grid), self.grid, self.walls))
        u = self.constrain(a, u, self.grid)
        size = torch.linalg.vector_norm(a.flatten(1), dim=1)
        size = torch.where(size > 0, size, 1.0)
        residual = torch.linalg.vector_norm(self.residual(a, u, self.grid).flatten(1), dim=1) / size
        if progress:
            progress(1.0)
        return Solution(u, residual, residual <= TOLERANCE, residual)

    def _collocated(self, f: Tensor, g: Tensor) -> Tensor:
        """g + v, -Laplace v = f + Laplace g at the inner nodes, v with homogeneous conditions."""
        x, y = (_Spectrum(*(t.to(f) for t in _spectrum(axis, self.walls[axis.name]))) for axis in self.grid)
        inner = (f + self._laplacian(g, self.grid))[..., 1:-1, 1:-1]
        values = x.values[:, None] + y.values
        if self.balanced:  # no part of the constant eigenvector is wanted
            values.view(-1)[values.abs().argmin()] = inf
        c = x.inverse @ inner @ y.inverse.T
        return g + x.vectors @ (-c / values) @ y.vectors.T

    def _laplacian(self, u: Tensor, grid: Grid) -> Tensor:
        x, y = (torch.from_numpy(_second(axis)).to(u) for axis in grid)
        return x @ u + u @ y.T

    def _given(self, a: Tensor, grid: Grid) -> Tensor:
        """g (B, 1, *grid), of inputs on any numbers of nodes."""
        if self.boundary is None:
            return a.new_zeros(len(a), 1, *grid.shape)
        g = a[:, 1:2]
        for dim, (axis, n) in enumerate(zip(grid, g.shape[2:], strict=True), 2):
            if n != axis.n:
                g = along(interpolation_matrix(axis.resized(n).points(), axis.points(), n).to(g), g, dim)
        return g

    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """f + Laplace u by spectral derivatives: of f without its mean and Nyquist modes on a torus; at walls, what u
        lacks of their data.

        Raises InputError on grids that are not this problem's, but for the number of nodes."""
        if grid != self.grid.resized(grid.shape):
            raise InputError(f"{self.name}: the residual is formed on {self.grid}; got a field on {grid}")
        f = a[:, :1]
        if self.nodes == "periodic":
            basis = Fourier(grid, degree=1, device=u.device, dtype=u.dtype)
            f = basis.to_values(torch.where(basis.k2 > 0, basis.to_modes(f), 0.0))
            return f + sum(derivative(u, axis, dim, 2) for dim, axis in enumerate(grid, 2))
        r = (f + self._laplacian(u, grid))[..., 1:-1, 1:-1]
        if self.balanced:
            x, y = (_balance(axis, self.walls[axis.name]).to(r) for axis in grid)
            r = r - (x @ r @ y)[..., None, None]
        r, lacking = torch.nn.functional.pad(r, [1, 1, 1, 1]), self._given(a, grid) - u
        for dim, axis in enumerate(grid, -2):
            ends = along(traces(axis, self.walls[axis.name], u), lacking, dim)
            first, last = ends.split(1, dim)
            r = torch.cat([first, r.narrow(dim, 1, axis.n - 2), last], dim)
        return r

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with the data on the walls, by a function of what it lacks of them (`lift_of`); without its mean on a
        torus, and where no side has an alpha."""
        if self.nodes == "chebyshev":
            u = u - lift_of(u - self._given(a, grid), grid, self.walls)
        if not self.balanced:
            return u
        return u - (u * grid.weights().to(u)).sum((-2, -1), keepdim=True) / grid.volume


def _type(ends: Ends | None) -> Boundary:
    """The boundary type of an axis, by which models choose functions that satisfy its conditions without data."""
    if ends is None:
        return "periodic"
    if all(c.beta == 0 for c in ends):
        return "dirichlet"
    return "neumann" if all(c.alpha == 0 for c in ends) else "free"


class _Spectrum(NamedTuple):
    """Of the second derivative of values that satisfy the conditions of an axis, at its inner nodes: eigenvalues
    (n - 2,), eigenvectors in columns at all nodes (n, n - 2), and the inverse of these at the inner ones."""

    values: Tensor
    vectors: Tensor
    inverse: Tensor


@lru_cache(maxsize=8)
def _second(axis: Axis) -> np.ndarray:
    first = derivative_matrix(axis).numpy()
    return first @ first


@lru_cache(maxsize=8)
def _spectrum(axis: Axis, ends: Ends) -> _Spectrum:
    rows = traces(axis, ends, torch.empty((), dtype=torch.float64)).numpy()
    n = axis.n
    whole = np.zeros((n, n - 2))  # values at the inner nodes -> at all
    whole[1:-1] = np.eye(n - 2)
    whole[[0, -1]] = -np.linalg.solve(rows[:, [0, -1]], rows[:, 1:-1])
    values, vectors = np.linalg.eig(_second(axis)[1:-1] @ whole)
    inner = vectors.real
    return _Spectrum(*map(torch.from_numpy, (values.real.copy(), whole @ inner, np.linalg.inv(inner))))


def _balance(axis: Axis, ends: Ends) -> Tensor:
    """(n - 2,): values at the inner nodes -> their part of the constant eigenvector, where no end has an alpha; of
    second derivatives of values that satisfy the conditions it is zero, of 1 it is 1."""
    spectrum = _spectrum(axis, ends)
    constant = int(spectrum.values.abs().argmin())
    return spectrum.inverse[constant] * spectrum.vectors[0, constant]
