"""Which unknowns of a box are coarse, and how values between them are interpolated."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pdeops.grid import Grid
from pdeops.solvers.volumes import ends, unknowns

SWEEPS = 8  # of relaxation on the coarsest level, in each order


@dataclass(frozen=True, eq=False)
class Coarsening:
    """Shapes of the levels, finest first; and of all but the coarsest, per axis, weights (n + 2, 2): those of the two
    coarse neighbours, below and above, of unknowns of even index (of odd index are the coarse ones; the last rows are
    zero)."""

    shapes: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[np.ndarray, ...], ...]


@lru_cache(maxsize=16)
def coarsening(grid: Grid) -> Coarsening:
    """Halving along all axes at once until one has a single unknown or all have at most three.

    Interpolation is linear in the distance: towards a boundary value, zero, at the distance where it lies; constant
    towards a wall.
    """
    shapes, weights = [unknowns(grid)], []
    distances = [np.array([ends(x), *[1.0] * (n - 1), ends(x)]) for n, x in zip(shapes[0], grid, strict=True)]
    while max(shapes[-1]) > 3 and min(shapes[-1]) > 1:
        weights.append(tuple(_linear(d) for d in distances))
        distances = [_joined(d) for d in distances]
        shapes.append(tuple(n // 2 for n in shapes[-1]))
    return Coarsening(tuple(shapes), tuple(weights))


def _linear(distances: np.ndarray) -> np.ndarray:
    """Weights (n + 2, 2) from the n + 1 distances between neighbours."""
    out = np.zeros((len(distances) + 1, 2), dtype=np.float32)
    for i in range(0, len(distances) - 1, 2):
        below, above = distances[i], distances[i + 1]
        if np.isinf(below):
            out[i] = 0, 1
        elif np.isinf(above):
            out[i] = 1, 0
        else:
            out[i] = above / (below + above), below / (below + above)
    return out


def _joined(distances: np.ndarray) -> np.ndarray:
    """Distances between coarse unknowns: of two fine ones, but for the last where their number is odd."""
    out, second = distances[0::2].copy(), distances[1::2]
    out[: len(second)] += second
    return out
