"""Evolution equations on tori: a symbol and a nonlinearity drive the stepper and the residual alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, log, prod
from typing import ClassVar
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from pdeops.bases.differences import derivative_matrix
from pdeops.bases.fourier import Fourier, resample
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.norms import Lp, weak_norm
from pdeops.problems.base import Problem, Progress, Solution
from pdeops.problems.inputs import Inputs
from pdeops.solvers.schemes import Nonlinearity
from pdeops.solvers.steppers import Diverged, Pace, Stepper, floored, relative

Coefficient = float | Sequence[float]  # one value, or [low, high]: drawn per sample, an input channel
Tendency = Callable[[Tensor], Tensor]

# of a batch's values on the finer lattice: what is stepped at once stays in the cache of a core, or fills a GPU
CHUNK_BYTES = {"cpu": 2**19, "cuda": 2**28}


@dataclass(kw_only=True, eq=False)
class Evolution(Problem):
    """u_t = L u + N(u) on a torus, from samples of `initial`.

    n: nodes per side of what is stored; resolution: of the lattice it is solved on (None: n), with all modes below
    its Nyquist frequency; length: of every side; start, horizon: times of the first and the last stored snapshot
    (the initial state is that of time 0); frames: snapshots after the first, equally spaced.
    A coefficient [low, high] is drawn per sample, its logarithm uniformly, and becomes an input channel.
    Raises InputError on sizes or coefficients out of range.
    """

    dimensions: ClassVar[int]
    remedy = "Lower problem.solver.dt, or set it to auto, or raise the tolerance if you mean it."
    degree: ClassVar[int] = 2  # of the nonlinearity as a polynomial: products of so many fields are exact
    coefficients: ClassVar[tuple[str, ...]] = ()
    nonnegative: ClassVar[tuple[str, ...]] = ()
    given: ClassVar[tuple[str, ...]] = ()  # input fields beside the initial state

    n: int
    length: float = 1.0
    horizon: float = 1.0
    frames: int = 10
    start: float = 0.0
    resolution: int | None = None
    initial: Inputs
    solver: Stepper = field(default_factory=Stepper)

    def __post_init__(self) -> None:
        self.check_solver(Stepper, "an evolution, and wants a time stepper: etdrk4, ifrk4, cn_heun ...")
        if self.n < 4 or self.frames < 1:
            raise InputError(f"problem.n={self.n}, problem.frames={self.frames}: wanted n >= 4 and frames >= 1")
        if self.resolution is not None and self.resolution < self.n:
            raise InputError(f"problem.resolution={self.resolution} is below problem.n={self.n}, the nodes stored")
        if not (0 <= self.start < self.horizon < inf and 0 < self.length < inf):
            raise InputError(
                f"problem.start={self.start}, problem.horizon={self.horizon}, problem.length={self.length}: "
                "wanted 0 <= start < horizon and length > 0"
            )
        for name in self.coefficients:
            value, bounds = getattr(self, name), self._range(name)
            if bounds and not 0 < bounds[0] < bounds[1] < inf:
                raise InputError(f"problem.{name}={value}: of a range [low, high], wanted 0 < low < high")
            if not bounds and not (-inf < value < inf and (value >= 0 or name not in self.nonnegative)):
                wanted = f"{name} >= 0" if name in self.nonnegative else "a finite number"
                raise InputError(f"problem.{name}={value}: wanted {wanted}, or [low, high]")

    def _range(self, name: str) -> tuple[float, float] | None:
        value = getattr(self, name)
        if isinstance(value, int | float):
            return None
        if len(value) != 2:
            raise InputError(f"problem.{name}={value}: wanted one number, or [low, high]")
        return float(value[0]), float(value[1])

    @property
    def varying(self) -> tuple[str, ...]:
        """The coefficients that differ from sample to sample."""
        return tuple(name for name in self.coefficients if self._range(name))

    @property
    def in_names(self) -> tuple[str, ...]:
        return self.out_names + self.given + self.varying

    @property
    def parameters(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in self.coefficients if name not in self.varying}

    @property
    def grid(self) -> Grid:
        time = Axis("time", self.frames + 1, self.horizon - self.start, "uniform", self.start)
        return Grid((time, *self._lattice(self.n)))

    @property
    def solved_on(self) -> Grid:
        """The lattice of inputs and of the solver."""
        return self._lattice(self.resolution or self.n)

    def _lattice(self, n: int) -> Grid:
        return Grid.periodic((n,) * self.dimensions, self.length)

    def basis(self, space: Grid, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64) -> Fourier:
        return Fourier(space, degree=self.degree, device=device, dtype=dtype)

    def sample(self, indices: Sequence[int], seed: int) -> Tensor:
        fields = self.start_from(self.initial(self.solved_on, indices, seed))
        return torch.cat([fields, *(self._draw(name, fields, indices, seed) for name in self.varying)], dim=1)

    def start_from(self, fields: Tensor) -> Tensor:
        """The initial state (and other given fields) of samples of `initial`; here: the samples themselves."""
        return fields

    def _draw(self, name: str, fields: Tensor, indices: Sequence[int], seed: int) -> Tensor:
        """A channel of one value per sample."""
        low, high = self._range(name) or (1.0, 1.0)
        uniform = [np.random.default_rng([seed, i, crc32(name.encode())]).uniform(log(low), log(high)) for i in indices]
        values = torch.tensor(uniform, dtype=fields.dtype).exp()
        return values.view(-1, 1, *(1,) * self.dimensions).expand(-1, 1, *fields.shape[2:])

    def channel(self, name: str, a: Tensor) -> Tensor:
        """The channel of `a` that is called `name`, which is no part of the initial state."""
        return a[:, self.in_names.index(name) - len(self.in_names)]  # from the end: a history may come before

    def coefficient(self, name: str, a: Tensor) -> float | Tensor:
        """Its value, or one per sample of `a`, (B, 1, *ones)."""
        if name not in self.varying:
            return getattr(self, name)
        return self.channel(name, a).flatten(1).mean(1).view(-1, 1, *(1,) * self.dimensions)

    def admissible(self, basis: Fourier, c: Tensor) -> Tensor:
        """The part of coefficients (..., B, C, *spectrum) that a state may have; here: all of them."""
        return c

    @abstractmethod
    def linear(self, basis: Fourier, a: Tensor) -> Tensor:
        """The symbol of L, broadcastable to coefficients (B, C, *spectrum)."""

    @abstractmethod
    def nonlinear(self, basis: Fourier, a: Tensor) -> Tendency:
        """N as a map of coefficients (..., B, C, *spectrum) to new ones; whatever is constant is computed once."""

    def solve(self, a: Tensor, progress: Progress | None = None) -> Solution:
        """Integrate inputs a (n, C_in, *lattice) in float64 on their own lattice; snapshots on `grid`.

        Raises Diverged, naming the sample and the time, if a solution stops being finite.
        """
        fields, errors, first, pace = [], [], 0, None
        for chunk in a.double().split(self.chunk(a)):

            def advanced(fraction: float, first: int = first, size: int = len(chunk)) -> None:
                if progress:
                    progress((first + fraction * size) / len(a))

            try:
                u, error, pace = self._integrate(chunk, advanced, pace)
            except Diverged as failure:
                raise Diverged(first + failure.sample, failure.reason) from None
            fields.append(u)
            errors.append(error)
            first += len(chunk)
        u, error = torch.cat(fields), torch.cat(errors)
        residual = weak_norm(self.grid)(self.residual(a.double(), u, self.grid)).amax(1)
        return Solution(u, residual, error <= self.solver.tolerance, error)

    def _integrate(self, a: Tensor, progress: Progress, pace: Pace | None) -> tuple[Tensor, Tensor, Pace]:
        basis, start = self._start(a)

        def observe(c: Tensor) -> Tensor:
            return basis.to_values(c, self.grid.space)

        u, error, pace = self.solver.solve(
            *start, observe=observe, distance=self._distance, progress=progress, pace=pace
        )
        return u[:, :, -self.grid[0].n :], error, pace  # without the initial state of a late start

    def stored(self, a: Tensor) -> Tensor:
        shape = self.grid.space.shape
        return a if a.shape[2:] == shape else resample(a, shape)

    def cost(self, a: Tensor) -> float:
        chunk = a[: self.chunk(a)].double()
        return self.solver.seconds(*self._start(chunk)[1]) * len(a) / len(chunk)

    def chunk(self, a: Tensor) -> int:
        """Samples that are stepped at once."""
        nodes = prod(self.basis(self.grid.space.resized(a.shape[-self.dimensions :])).shape)
        return max(1, CHUNK_BYTES["cpu" if a.device.type == "cpu" else "cuda"] // (8 * len(self.out_names) * nodes))

    def _start(self, a: Tensor) -> tuple[Fourier, tuple[Tensor, Nonlinearity, Tensor, Tensor]]:
        """The basis of a's lattice, and what the stepper integrates."""
        times = self.grid[0].points()
        if self.start > 0:
            times = torch.cat([torch.zeros(1, dtype=times.dtype), times])
        return self._posed(a, a[:, : len(self.out_names)], times)

    def _posed(
        self, a: Tensor, u: Tensor, times: Tensor
    ) -> tuple[Fourier, tuple[Tensor, Nonlinearity, Tensor, Tensor]]:
        """The basis of u's lattice, and L, N, the state u in coefficients, the instants."""
        basis = self.basis(self.grid.space.resized(u.shape[-self.dimensions :]), u.device)
        tendency = self.nonlinear(basis, a)

        def autonomous(c: Tensor, t: float) -> Tensor:
            return tendency(c)

        return basis, (self.linear(basis, a), autonomous, self.admissible(basis, basis.to_modes(u)), times)

    def flow(self, a: Tensor, u: Tensor, times: Tensor, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
        """Trajectories (B, C, T, *space) at `times` from states u (B, C, *space) at the first of them on, by
        `solver` in double precision; and (B,) its own relative step-halving error. Coefficients are those of inputs a.

        Raises Diverged, naming the state, if one stops being finite.
        """
        paths, errors, first, pace = [], [], 0, None
        for inputs, some in zip(a.double().split(self.chunk(u)), u.double().split(self.chunk(u)), strict=True):
            basis, posed = self._posed(inputs, some, times)
            try:
                path, error, pace = self.solver.solve(
                    *posed, observe=basis.to_values, distance=_far, progress=progress, pace=pace
                )
            except Diverged as failure:
                raise Diverged(first + failure.sample, failure.reason) from None
            paths.append(path)
            errors.append(error)
            first += len(some)
        return torch.cat(paths), torch.cat(errors)

    def _distance(self, u: Tensor, v: Tensor) -> Tensor:
        """Relative L2 distance over the stored trajectory, of the worst channel; u (B, C, T, *space)."""
        norm = Lp(self.grid)
        u, v = u[:, :, -self.grid[0].n :], v[:, :, -self.grid[0].n :]
        return (norm(u - v) / floored(norm(u))).amax(1)

    def tendencies(self, a: Tensor, u: Tensor, space: Grid) -> tuple[Tensor, Tensor]:
        """(L u, N(u)) of snapshots u (B, C, T, *space), each of u's shape; spectral, products free of aliasing."""
        return self._parts(a, u, space)[:2]

    def _parts(self, a: Tensor, u: Tensor, space: Grid) -> tuple[Tensor, Tensor, Tensor]:
        """L v, N(v), and v, what of u is in the basis and admissible."""
        basis = self.basis(space, u.device, u.dtype)
        c = self.admissible(basis, basis.to_modes(u.movedim(2, 0)))
        parts = self.linear(basis, a) * c, self.nonlinear(basis, a)(c), c
        linear, nonlinear, resolved = (basis.to_values(part).movedim(0, 2) for part in parts)
        return linear, nonlinear, resolved

    def residual(self, a: Tensor, u: Tensor, grid: Grid, derivative: Tensor | None = None) -> Tensor:
        """r = v_t - L v - N(v) + (u - v) / dt, v the part of u in the basis and admissible, dt the mean distance of
        the snapshots: what is outside (Nyquist modes, say) should be zero, and counts as if it decayed within dt.

        derivative: d/dt as a matrix over the snapshots (T, T); by default that of the polynomial through all of them on
        chebyshev times, and else sixth-order differences, so that the floor on exact snapshots is O(dt^6) (of lower
        order below seven). All else is spectral, products free of aliasing.
        Raises InputError without two snapshots, and on a matrix of another size.
        """
        if grid.time is None or grid.time.n < 2:
            raise InputError(f"{self.name}: a residual needs at least two snapshots on a time axis; got {grid}")
        n, points = grid.time.n, grid.time.points()
        matrix = derivative_matrix(grid.time) if derivative is None else derivative
        if matrix.shape != (n, n):
            raise InputError(f"a derivative {tuple(matrix.shape)} of {n} snapshots: wanted a matrix over them")
        linear, nonlinear, resolved = self._parts(a, u, grid.space)
        v_t = torch.einsum("st,bct...->bcs...", matrix.to(u), resolved)
        return v_t - linear - nonlinear + (u - resolved) * ((n - 1) / float(points[-1] - points[0]))


def _far(u: Tensor, v: Tensor) -> Tensor:
    """Relative distance of trajectories (B, C, T, *space) after their first state, of the worst channel."""
    u, v = u[:, :, 1:], v[:, :, 1:]
    return relative(u - v, u)
