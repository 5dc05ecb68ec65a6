"""What every PDE offers: inputs, reference solutions, its residual and its constraints."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from scipy.sparse import sparray, spmatrix
from scipy.sparse.linalg import spsolve
from torch import Tensor

from pdeops.bases.differences import differentiation_matrix
from pdeops.bases.fourier import Fourier
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Lp, Sobolev
from pdeops.solvers.steppers import Nonlinearity, Stepper

Progress = Callable[[float], None]


class Solution(NamedTuple):
    """u (n, C_out, *grid); per sample: the residual's norm (H^-1 of an evolution, relative l2 of an elliptic
    system), whether the solver's own error estimate is within its tolerance, and that estimate (the relative
    L2 step-halving error of an evolution, the residual of an elliptic system)."""

    u: Tensor
    residual: Tensor
    converged: Tensor
    error: Tensor


class Problem(ABC):
    """A PDE with its inputs, parameters and grid. Every constructor argument is an attribute.

    name: also the name of its `problem=` and `data=` configurations.
    in_names, out_names: the channels of the inputs `a` and of the solution `u`.
    """

    name: ClassVar[str]
    in_names: ClassVar[tuple[str, ...]]
    out_names: ClassVar[tuple[str, ...]]

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """The grid of a whole trajectory, or of a steady field."""

    @property
    @abstractmethod
    def parameters(self) -> dict[str, float]:
        """The physical parameters by name (viscosity ...)."""

    @abstractmethod
    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        """Inputs (n, C_in, *space), float64 on the CPU; sample i depends on (seed, i) alone."""

    @abstractmethod
    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        """Reference solutions of inputs `a`, on a's device; `progress` is told the fraction done."""

    @abstractmethod
    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """The strong residual r (B, n_eq, *grid) of fields u (B, C_out, *grid); differentiable."""

    def constrain(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """u with its hard initial and boundary conditions imposed; here: u itself."""
        return u

    def cost(self, a: Tensor) -> float:
        """An estimate of the seconds that `solve(a)` takes; here: one sample is solved and timed."""
        start = time.perf_counter()
        self.solve(a[:1])
        return (time.perf_counter() - start) * len(a)


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


class Evolution(Problem):
    """u_t = L u + N(u) on a torus: `linear` and `nonlinear` drive the stepper and the residual alike.

    n: nodes per side; length: of every side; horizon: final time; frames: snapshots after the initial one,
    equally spaced. Raises InputError on sizes out of range.
    """

    dimensions: ClassVar[int]

    def __init__(self, *, n: int, length: float, horizon: float, frames: int, solver: Stepper) -> None:
        if n < 4 or frames < 1:
            raise InputError(f"problem.n={n}, problem.frames={frames}: wanted n >= 4 and frames >= 1")
        if not (horizon > 0 and length > 0):
            raise InputError(f"problem.horizon={horizon}, problem.length={length}: wanted horizon > 0, length > 0")
        self.n, self.length, self.horizon, self.frames, self.solver = n, length, horizon, frames, solver

    @property
    def grid(self) -> Grid:
        time = Axis("time", self.frames + 1, self.horizon, "uniform")
        return Grid((time, *Grid.periodic((self.n,) * self.dimensions, self.length)))

    @abstractmethod
    def linear(self, basis: Fourier) -> Tensor:
        """The symbol of L, broadcastable to coefficients (C, *spectrum)."""

    @abstractmethod
    def nonlinear(self, basis: Fourier) -> Nonlinearity:
        """N as a map of coefficients (..., C, *spectrum); whatever is constant is computed once."""

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        """Integrate from a (n, C, *space) in float64, and once more at twice the step for the error estimate.

        Raises InputError, naming the sample and the time, if a solution stops being finite.
        """
        space, times = self.grid.space, self.grid[0].points()
        basis = Fourier(space, device=a.device)
        linear, nonlinear = self.linear(basis), self.nonlinear(basis)
        initial = basis.to_modes(a.double())
        total, done = 3 * (len(times) - 1), 0

        def run(coarsen: Literal[1, 2]) -> Tensor:
            frames = []

            def record(i: int, c: Tensor) -> None:
                nonlocal done
                u = basis.to_values(c)
                self._check_finite(u, float(times[i]))
                frames.append(u)
                if progress and i:
                    done += 3 - coarsen
                    progress(done / total)

            self.solver.integrate(linear, nonlinear, initial, times, coarsen=coarsen, record=record)
            return torch.stack(frames, dim=2)

        u, rough = run(1), run(2)
        norm = Lp(self.grid)
        error = (norm(u - rough) / norm(u).clamp_min(torch.finfo(u.dtype).tiny)).amax(1)
        residual = Sobolev(self.grid, -1)(self.residual(a, u, self.grid)).amax(1)
        return Solution(u, residual, error <= self.solver.tolerance, error)

    def _check_finite(self, u: Tensor, t: float) -> None:
        finite = u.isfinite().flatten(1).all(1)
        if not finite.all():
            first = int((~finite).nonzero()[0])
            raise InputError(
                f"{self.name}: the solution of sample {first} of this batch is no longer finite at time {t:g} "
                f"(scheme {self.solver.scheme}, dt {self.solver.dt:g}). Lower problem.solver.dt, or raise problem.n."
            )

    def residual(self, a: Tensor, u: Tensor, grid: Grid) -> Tensor:
        """r = u_t - L u - N(u): u_t by sixth-order differences of the snapshots, the rest spectral with
        products free of aliasing. Its floor on exact snapshots is therefore O(dt^6), dt their distance (of lower
        order below seven snapshots). Nyquist modes, which the basis does not hold, should be zero: what there is
        of them counts as if it decayed within one snapshot distance."""
        if grid.time is None or grid.time.n < 2:
            raise InputError(f"{self.name}: a residual needs at least two snapshots on a time axis; got {grid}")
        basis = Fourier(grid.space, device=u.device, dtype=u.dtype)
        matrix = differentiation_matrix(grid[0].points()).to(u)
        u_t = torch.einsum("st,bct...->bcs...", matrix, u)
        c = basis.to_modes(u.transpose(1, 2))
        tendency = basis.to_values(self.linear(basis) * c + self.nonlinear(basis)(c))
        unresolved = u - basis.to_values(c).transpose(1, 2)
        points = grid[0].points()
        return u_t - tendency.transpose(1, 2) + unresolved / float(points[1] - points[0])

    def cost(self, a: Tensor) -> float:
        basis = Fourier(self.grid.space, device=a.device)
        c = basis.to_modes(a.double())
        # once at the step, once at twice the step
        return 1.5 * self.solver.seconds(self.linear(basis), self.nonlinear(basis), c, self.grid[0].points())
