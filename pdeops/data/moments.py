"""Statistics of a field that comes piece by piece."""

from __future__ import annotations

import numpy as np


class Moments:
    """mean, std and, of a field that varies in time, mean_delta, std_delta of values that come piece by piece;
    population deviations, float64."""

    def __init__(self, time_varying: bool) -> None:
        self.time_varying = time_varying
        self._origin: float | None = None
        self._values, self._changes = np.zeros(3), np.zeros(3)

    def add(self, values: np.ndarray, before: np.ndarray | None = None) -> None:
        """The values of one sample, time first if there is any; before: its last frame that came before these."""
        values = values.astype(np.float64)
        if self._origin is None:  # sums are about one value, so that a large offset does not cancel the variance
            self._origin = float(values.flat[0])
        self._values += _moments(values - self._origin)
        if self.time_varying:
            changes = np.diff(values, axis=0)
            self._changes += _moments(changes)
            if before is not None:
                self._changes += _moments(values[0] - before)

    def stats(self) -> dict[str, float]:
        mean, std = _mean_std(self._values)
        stats = {"mean": mean + (self._origin or 0.0), "std": std}
        if self._changes[0]:
            stats |= dict(zip(("mean_delta", "std_delta"), _mean_std(self._changes), strict=True))
        return stats


def _moments(x: np.ndarray) -> np.ndarray:
    return np.array([x.size, x.sum(), np.square(x).sum()])


def _mean_std(moments: np.ndarray) -> tuple[float, float]:
    count, total, squares = moments
    mean = total / count
    variance = squares / count - mean**2
    # a constant field leaves only round-off
    return float(mean), float(np.sqrt(variance)) if variance > 1e-12 * squares / count else 0.0
