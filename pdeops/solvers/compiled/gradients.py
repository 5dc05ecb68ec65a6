"""Conjugate gradients behind a multigrid cycle, for a few systems at once (see `cycle` for how they are laid out)."""

from __future__ import annotations

import numpy as np

from pdeops.solvers.compiled.cycle import RHS, around, compiled, cycle, level

# slots beside the finest level, by colour: direction, its image, the change of the solution, the diagonal
P, AP, CHANGE, DIAGONAL, BESIDE = 0, 2, 4, 6, 8
# slots of the finest level in double precision: solution, right-hand side and diagonal, by colour; edges as above
X, B, FINE_DIAGONAL = 0, 2, 4

PERIOD = 4  # steps in single precision, until the residual is computed anew in double precision
STALLS = 16  # of these without a gain, before a system is given up


@compiled
def lane_sums(row, lanes):
    """Sums of a row (k, lane) over k."""
    out = np.zeros(lanes)
    for q in range(row.size):
        out[q % lanes] += row[q]
    return out


@compiled
def multiply(g, s, h, lanes):
    """AP = A P in single precision; the products P . AP per lane."""
    n0, n1, w = g.shape[1], g.shape[2], g.shape[3] - 2 * lanes
    t, total = np.empty(w, g.dtype), np.zeros(w, g.dtype)
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                around(t, g, P + 1 - colour, s, colour, i, j, h, lanes)
                p, out = g[P + colour, i, j, lanes : lanes + w], g[AP + colour, i, j, lanes : lanes + w]
                diagonal = g[DIAGONAL + colour, i, j, lanes : lanes + w]
                for q in range(w):
                    out[q] = diagonal[q] * p[q] - t[q]
                    total[q] += p[q] * out[q]
    return lane_sums(total, lanes)


@compiled
def aim(g, s, beta, moving, h, lanes):
    """P = Z + beta P, Z the correction on the finest level, in lanes that move; the products of the residual with P."""
    n0, n1, w = g.shape[1], g.shape[2], g.shape[3] - 2 * lanes
    factor, fresh, total = np.empty(w, g.dtype), np.empty(w, g.dtype), np.zeros(w, g.dtype)
    for q in range(w):
        factor[q], fresh[q] = (beta[q % lanes], 1.0) if moving[q % lanes] else (1.0, 0.0)
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                p, z = g[P + colour, i, j, lanes : lanes + w], s[colour, i, j, lanes : lanes + w]
                r = s[RHS + colour, i, j, lanes : lanes + w]
                for q in range(w):
                    p[q] = fresh[q] * z[q] + factor[q] * p[q]
                    total[q] += r[q] * p[q]
    return lane_sums(total, lanes)


@compiled
def against(g, s, h, lanes):
    """The products Z . AP per lane."""
    n0, n1, w = g.shape[1], g.shape[2], g.shape[3] - 2 * lanes
    total = np.zeros(w, g.dtype)
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                z, y = s[colour, i, j, lanes : lanes + w], g[AP + colour, i, j, lanes : lanes + w]
                for q in range(w):
                    total[q] += z[q] * y[q]
    return lane_sums(total, lanes)


@compiled
def advance(g, s, alpha, h, lanes):
    """CHANGE += alpha P, the residual -= alpha AP; the squares of the residual per lane."""
    n0, n1, w = g.shape[1], g.shape[2], g.shape[3] - 2 * lanes
    step, total = np.empty(w, g.dtype), np.zeros(w, g.dtype)
    for q in range(w):
        step[q] = alpha[q % lanes]
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                x, r = g[CHANGE + colour, i, j, lanes : lanes + w], s[RHS + colour, i, j, lanes : lanes + w]
                p, y = g[P + colour, i, j, lanes : lanes + w], g[AP + colour, i, j, lanes : lanes + w]
                for q in range(w):
                    x[q] += step[q] * p[q]
                    r[q] -= step[q] * y[q]
                    total[q] += r[q] * r[q]
    return lane_sums(total, lanes)


@compiled
def renew(f, g, s, unit, h, lanes):
    """X += unit CHANGE; the residual B - A X over unit, which single precision then goes on with; its squares per
    lane."""
    n0, n1, w = f.shape[1], f.shape[2], f.shape[3] - 2 * lanes
    factor, total, t = np.empty(w), np.zeros(w), np.empty(w)
    for q in range(w):
        factor[q] = unit[q % lanes]
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                x, change = f[X + colour, i, j, lanes : lanes + w], g[CHANGE + colour, i, j, lanes : lanes + w]
                for q in range(w):
                    x[q] += factor[q] * change[q]
                    change[q] = 0
    for q in range(w):
        factor[q] = 1 / factor[q]
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                around(t, f, X + 1 - colour, f, colour, i, j, h, lanes)
                x, b = f[X + colour, i, j, lanes : lanes + w], f[B + colour, i, j, lanes : lanes + w]
                diagonal, r = (
                    f[FINE_DIAGONAL + colour, i, j, lanes : lanes + w],
                    s[RHS + colour, i, j, lanes : lanes + w],
                )
                for q in range(w):
                    d = (b[q] - diagonal[q] * x[q] + t[q]) * factor[q]
                    r[q] = d
                    total[q] += d * d
    return lane_sums(total, lanes)


@compiled
def lengths(f, lanes):
    """|B| per lane."""
    w = f.shape[3]
    total = np.zeros(w)
    for colour in range(2):
        for i in range(f.shape[1]):
            for j in range(f.shape[2]):
                b = f[B + colour, i, j]
                for q in range(w):
                    total[q] += b[q] * b[q]
    return np.sqrt(lane_sums(total, lanes))


@compiled
def conjugate_gradients(f, g, buffer, table, ends, rtol, maxiter, h, lanes):
    """Solve from X = 0 for the right-hand side B: the steps taken per lane, -1 where the operator is not definite, and
    |B - A X| / |B|.

    In single precision, but that the residual is computed anew from X and B in double precision every PERIOD steps of a
    lane, and at its end. Directions survive that: they are made conjugate explicitly, beta = -Z . A P / P . A P, as the
    preconditioner is not quite linear either. Where rounding leaves no descent, the next one is the correction alone. A
    lane that waits for a renewal, or is done, is left as it is.
    """
    s = level(buffer, table, 0)
    size = lengths(f, lanes)
    unit = np.ones(lanes)
    for l in range(lanes):
        if size[l] > 0:
            unit[l] = size[l]
    squares, goal = renew(f, g, s, unit, h, lanes), rtol * rtol
    moving, sound, started = squares > goal, np.ones(lanes, np.bool_), np.zeros(lanes, np.bool_)
    steps, taken, stalled = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
    alpha, beta, curvature, best = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), squares.copy()
    while moving.any():
        taken[:] = 0
        while moving.any():
            cycle(buffer, table, ends, h, lanes)
            products = against(g, s, h, lanes)
            for l in range(lanes):
                beta[l] = -products[l] / curvature[l] if moving[l] and started[l] else 0.0
            descent = aim(g, s, beta, moving, h, lanes)
            image = multiply(g, s, h, lanes)
            for l in range(lanes):
                alpha[l] = 0.0
                if moving[l] and image[l] > 0 and descent[l] > 0:
                    alpha[l], curvature[l], started[l] = descent[l] / image[l], image[l], True
                    steps[l], taken[l] = steps[l] + 1, taken[l] + 1
                elif moving[l]:
                    sound[l], started[l], moving[l] = started[l], False, False
            squares = advance(g, s, alpha, h, lanes)
            for l in range(lanes):
                moving[l] &= squares[l] > goal and taken[l] < PERIOD and steps[l] < maxiter
        squares = renew(f, g, s, unit, h, lanes)
        for l in range(lanes):
            stalled[l] = stalled[l] + 1 if squares[l] > 0.8 * best[l] else 0  # the method's residuals rise now and then
            best[l] = min(best[l], squares[l])
            moving[l] = squares[l] > goal and stalled[l] < STALLS and sound[l] and steps[l] < maxiter
    for l in range(lanes):
        if not sound[l]:
            steps[l] = -1
    return steps, np.sqrt(squares)
