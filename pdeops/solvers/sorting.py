"""Orders of samples in which neighbours are alike, so that what one solve has learnt serves the next.

Features are arrays (N, ...), one row a sample: the coefficient field, its logarithm, or a few numbers that determine
it; the distance of two samples is the Frobenius norm of their difference. An order is a permutation (N,) of sample
indices. The same features give the same order.
"""

from __future__ import annotations

from math import ceil

import numpy as np

from pdeops.errors import InputError

GRAM_LIMIT = 8192  # samples up to which all inner products are held at once, 0.5 GiB
CELL = 1000  # samples in a cell of `divided`
AXES = 16  # principal axes along which `divided` cuts
SKETCH = 1000  # samples from which these are found


def greedy(features: np.ndarray) -> np.ndarray:
    """From sample 0 on always the nearest one that is left: O(N^2), |a|^2 + |b|^2 - 2 (a, b) by matrix products, row
    after row where all of them would not fit in memory.

    Source: Wang, Hao, Wang, Geng, Wang, Li and Wu, Accelerating data generation for neural operators via Krylov
    subspace recycling, ICLR 2024, algorithm 1. Raises InputError on features that are not finite.
    """
    return _chain(_rows(features), 0)


def divided(features: np.ndarray) -> np.ndarray:
    """The greedy chain for many samples: halved at the median along the widest of the leading principal axes until
    cells have at most 1000 samples, with a greedy chain in each, which starts nearest to where the last one ended.
    O(1000 N), and `greedy` itself up to 1000 samples.

    Source: the grouping of Wang et al., ICLR 2024, section 4.1, with balanced cells in place of fixed orthants. Raises
    InputError on features that are not finite.
    """
    rows = _rows(features)
    if len(rows) <= CELL:
        return _chain(rows, 0)
    some = rows[:: ceil(len(rows) / SKETCH)]
    values, vectors = np.linalg.eigh(some @ some.T)
    values, vectors = values[-AXES:], vectors[:, -AXES:]
    kept = values > 1e-12 * values[-1]
    kept[-1] = True  # of samples that are all the same, too
    axes = some.T @ vectors[:, kept] / np.sqrt(values[kept].clip(np.finfo(float).tiny))
    order: list[np.ndarray] = []
    for cell in _cells(rows @ axes, np.arange(len(rows))):
        start = 0
        if order:
            start = int(((rows[cell] - rows[order[-1][-1]]) ** 2).sum(1).argmin())
        order.append(cell[_chain(rows[cell], start)])
    return np.concatenate(order)


def chain_length(features: np.ndarray, order: np.ndarray | None = None) -> float:
    """The sum of the distances of consecutive samples, in the given order or as they stand."""
    rows = _flat(features)
    scale = np.abs(rows).max(initial=0.0) or 1.0  # so that squares do not overflow
    steps = np.diff(rows if order is None else rows[order], axis=0) / scale
    return scale * float(np.linalg.norm(steps, axis=1).sum())


def _chain(rows: np.ndarray, start: int) -> np.ndarray:
    products = rows @ rows.T if len(rows) <= GRAM_LIMIT else None
    left = np.einsum("ij,ij->i", rows, rows)  # |b|^2 of the samples that are left, infinity for the others
    order = np.empty(len(rows), dtype=np.intp)
    at = start
    for i in range(len(rows)):
        order[i] = at
        left[at] = np.inf
        at = int(np.argmin(left - 2 * (rows @ rows[at] if products is None else products[at])))
    return order


def _cells(coordinates: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    if len(members) <= CELL:
        return [members]
    here = coordinates[members]
    order = members[np.argsort(here[:, here.var(axis=0).argmax()], kind="stable")]
    middle = len(order) // 2
    return _cells(coordinates, order[:middle]) + _cells(coordinates, order[middle:])


def _flat(features: np.ndarray) -> np.ndarray:
    """(N, d), real, in double precision."""
    rows = np.asarray(features)
    if rows.ndim == 0:
        raise InputError("features are a single number; wanted an array (N, ...), a row for each sample")
    rows = rows.reshape(len(rows), -1) if rows.size else np.zeros((len(rows), 1))
    if np.iscomplexobj(rows):
        rows = np.concatenate([rows.real, rows.imag], axis=1)
    rows = rows.astype(np.float64)
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise InputError(f"features of sample {int(bad.argmax())} are not finite; leave it out or mend it")
    return rows


def _rows(features: np.ndarray) -> np.ndarray:
    """As `_flat`, moved to their mean and scaled to one, so that squares neither cancel nor overflow."""
    rows = _flat(features)
    if not len(rows):
        return rows
    rows /= np.abs(rows).max() or 1.0
    rows -= rows.mean(axis=0)
    return rows / (np.abs(rows).max() or 1.0)
