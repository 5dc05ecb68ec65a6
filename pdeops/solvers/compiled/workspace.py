"""The memory in which a few systems are solved at once, from tensors and back."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pdeops.grid import Grid
from pdeops.solvers.coarsening import coarsening
from pdeops.solvers.compiled import cycle, gradients, packing
from pdeops.solvers.volumes import FiniteVolumes


class Workspace:
    """Arrays for some systems at once on one grid, filled anew for each lot."""

    def __init__(self, grid: Grid, lanes: int) -> None:
        self._plan, self._count = coarsening(grid), lanes
        self._high = int(grid.ndim == 3)  # a margin along the first axis
        rows, offset = [], 0
        for shape in self._plan.shapes:
            n0, n1, n2 = self._three(shape)
            sizes = (n0 + 2 * self._high, n1 + 2, ((n2 + 1) // 2 + 2) * lanes)
            rows.append((offset, *sizes, n2))
            offset += cycle.SLOTS * sizes[0] * sizes[1] * sizes[2]
        self._table = np.array(rows, dtype=np.int64)
        self._levels = np.zeros(offset, dtype=np.float32)
        self._fine = np.zeros((cycle.SLOTS, *rows[0][1:4]))
        self._beside = np.zeros((gradients.BESIDE, *rows[0][1:4]), dtype=np.float32)
        longest = max(self._plan.shapes[0]) + 2
        self._ends = np.zeros((max(1, len(self._plan.weights)), 3, longest, 2), dtype=np.float32)
        for which, weights in enumerate(self._plan.weights):
            for d, w in enumerate(weights, 3 - grid.ndim):
                self._ends[which, d, : len(w)] = w

    def _three(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*(1,) * (3 - len(shape)), *shape)

    def solve(
        self, operator: FiniteVolumes, b: Tensor, rtol: float, maxiter: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x, the true relative residuals, and the steps taken."""
        high, lanes = self._high, self._count
        self._load(operator)
        self._fine[: gradients.B], self._beside[: gradients.DIAGONAL] = 0, 0  # whatever the last systems left
        rhs = b.reshape(lanes, *self._three(b.shape[1:])).numpy()
        for lane in range(lanes):
            packing.pack(rhs[lane], self._fine, gradients.B, high, lanes, lane)
        steps, residual = gradients.conjugate_gradients(
            self._fine, self._beside, self._levels, self._table, self._ends, rtol, maxiter, high, lanes
        )
        x = np.empty_like(rhs)
        for lane in range(lanes):
            packing.unpack(self._fine, gradients.X, x[lane], high, lanes, lane)
        return x.reshape(b.shape), residual, steps

    def _load(self, operator: FiniteVolumes) -> None:
        high, lanes = self._high, self._count
        faces = [f.reshape(lanes, *self._three(f.shape[1:])).numpy() for f in operator.forward]
        if not high:
            faces.insert(0, faces[0][:, :0])
        zero = np.zeros((lanes, *self._three(operator.shape)))
        reaction = zero if operator.reaction is None else operator.reaction.reshape(zero.shape).numpy()
        axes = range(1 - high, 3)
        for which in range(len(self._table)):
            level = cycle.level(self._levels, self._table, which)
            target = level if which else self._fine
            for lane in range(lanes):
                packing.pack_operator(*(f[lane] for f in (*faces, reaction)), target, high, lanes, lane)
            diagonal = target[gradients.FINE_DIAGONAL : cycle.EDGES]
            if not which:
                level[cycle.EDGES :], self._beside[gradients.DIAGONAL :] = target[cycle.EDGES :], diagonal
            packing.invert(diagonal, level[cycle.INVERSE : cycle.EDGES])
            if which < len(self._plan.weights):
                ends = self._ends[which]
                faces = [self._coarse(f, ends, axes, d) if d in axes else f for d, f in enumerate(faces)]
                if operator.reaction is not None:
                    reaction = self._coarse(reaction, ends, axes)
                else:
                    reaction = np.zeros((lanes, *self._three(self._plan.shapes[which + 1])), dtype=np.float32)

    def _coarse(self, x: np.ndarray, ends: np.ndarray, axes: range, along: int | None = None) -> np.ndarray:
        """Coarse reactions, or conductances along an axis."""
        for d in axes:
            fine = np.moveaxis(x, d + 1, 1)
            out = np.empty((len(x), (fine.shape[1] + (d == along)) // 2, *fine.shape[2:]), dtype=np.float32)
            if d == along:
                packing.in_series(fine, out)
            else:
                packing.gather(fine, ends[d], out)
            x = np.moveaxis(out, 1, d + 1)
        return np.ascontiguousarray(x)
