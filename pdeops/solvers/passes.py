"""Multigrid-preconditioned conjugate gradients for a few systems at once, compiled: the work of `multigrid` on a CPU.

Unknowns are kept by colour, red and black as on a chess board; of a line of the last axis, the unknowns of one colour
are a row (k // 2, lane), so that every pass is a loop over contiguous numbers, of red ones for black unknowns and of
black ones for red. Coefficients of edges belong to their red ends. Coarse unknowns are those of odd index along every
axis; they are red. All arrays have a margin of zeros. In two dimensions the first axis has one entry, and no margin.

A level is an array (slots, n0, n1, width), cut out of one buffer where its row of a table says. No operation mixes
lanes, nor depends on their number: a system's solution is the same to the bit whatever is solved with it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# slots of a level: the correction, its right-hand side and the inverse diagonal, by colour; the edges of the red
# unknowns, per axis towards lower and towards higher indices
RED, BLACK, RHS, INVERSE, EDGES, SLOTS = 0, 1, 2, 4, 6, 12
# slots beside the finest level, by colour: direction, its image, the change of the solution, the diagonal
P, AP, CHANGE, DIAGONAL, BESIDE = 0, 2, 4, 6, 8
# slots of the finest level in double precision: solution, right-hand side and diagonal, by colour; edges as above
X, B, FINE_DIAGONAL = 0, 2, 4
BOX = 4  # the column of a table after the offset and the sizes of arrays: unknowns along the last axis
SWEEPS = 8  # on the coarsest level, in each order
PERIOD = 4  # steps in single precision, until the residual is computed anew in double precision
STALLS = 16  # of these without a gain, before a system is given up

compiled = njit(nogil=True, cache=True)


@compiled
def level(buffer, table, which):
    """The array of one level."""
    offset, n0, n1, w = table[which, :4]
    return buffer[offset : offset + SLOTS * n0 * n1 * w].reshape(SLOTS, n0, n1, w)


@compiled
def around(t, u, source, s, colour, i, j, h, lanes):
    """t = the edges' sum over the neighbours, in slot `source` of u, of the unknowns of one colour on the line (i, j)."""
    w = t.size
    o = ((1 + i + j + colour) & 1) * lanes  # where the line begins: with k = 0 or k = 1
    left, right = u[source, i, j, o : o + w], u[source, i, j, o + lanes : o + lanes + w]
    down, up = u[source, i, j - 1, lanes : lanes + w], u[source, i, j + 1, lanes : lanes + w]
    if colour == RED:
        a, b = s[EDGES + 4, i, j, lanes : lanes + w], s[EDGES + 5, i, j, lanes : lanes + w]
        c, d = s[EDGES + 2, i, j, lanes : lanes + w], s[EDGES + 3, i, j, lanes : lanes + w]
    else:  # an edge is found at its other end
        a, b = s[EDGES + 5, i, j, o : o + w], s[EDGES + 4, i, j, o + lanes : o + lanes + w]
        c, d = s[EDGES + 3, i, j - 1, lanes : lanes + w], s[EDGES + 2, i, j + 1, lanes : lanes + w]
    for q in range(w):
        t[q] = a[q] * left[q] + b[q] * right[q] + c[q] * down[q] + d[q] * up[q]
    if h:
        below, above = u[source, i - 1, j, lanes : lanes + w], u[source, i + 1, j, lanes : lanes + w]
        if colour == RED:
            e, f = s[EDGES, i, j, lanes : lanes + w], s[EDGES + 1, i, j, lanes : lanes + w]
        else:
            e, f = s[EDGES + 1, i - 1, j, lanes : lanes + w], s[EDGES, i + 1, j, lanes : lanes + w]
        for q in range(w):
            t[q] += e[q] * below[q] + f[q] * above[q]


@compiled
def relax(s, colour, h, lanes):
    """Gauss-Seidel relaxation of the unknowns of one colour."""
    n0, n1, w = s.shape[1], s.shape[2], s.shape[3] - 2 * lanes
    t = np.empty(w, s.dtype)
    for i in range(h, n0 - h):
        for j in range(1, n1 - 1):
            around(t, s, 1 - colour, s, colour, i, j, h, lanes)
            u, b = s[colour, i, j, lanes : lanes + w], s[RHS + colour, i, j, lanes : lanes + w]
            inverse = s[INVERSE + colour, i, j, lanes : lanes + w]
            for q in range(w):
                u[q] = (b[q] + t[q]) * inverse[q]


@compiled
def presmooth(s, h, lanes):
    """Red, then black, from zero."""
    n0, n1 = s.shape[1], s.shape[2]
    for i in range(h, n0 - h):
        for j in range(1, n1 - 1):
            u, b, inverse = s[RED, i, j], s[RHS, i, j], s[INVERSE, i, j]
            for q in range(u.size):
                u[q] = b[q] * inverse[q]
    relax(s, BLACK, h, lanes)


@compiled
def restrict(s, coarse, ends, box, h, lanes):
    """The coarse right-hand side of a presmoothed correction: the transpose of `prolong` applied to the residual.

    The residual of black unknowns is zero, as they were relaxed last; that of red ones is the sum over their
    neighbours, as it was zero at their relaxation, which began without neighbours.
    """
    n0, n1, w = s.shape[1], s.shape[2], s.shape[3] - 2 * lanes
    full = np.zeros((coarse.shape[1], coarse.shape[2], box * lanes), s.dtype)
    t, row = np.zeros(w + lanes, s.dtype), np.empty(box * lanes, s.dtype)
    below, above = np.empty_like(row), np.empty_like(row)
    for q in range(row.size):
        below[q], above[q] = ends[2, q // lanes * 2, 1], ends[2, q // lanes * 2 + 2, 0]
    for i in range(h, n0 - h):
        for j in range(1, n1 - 1):
            around(t[:w], s, BLACK, s, RED, i, j, h, lanes)
            if (1 + i + j) & 1:
                row[:] = t[: row.size]
            else:
                shifted = t[lanes:]
                for q in range(row.size):
                    row[q] = below[q] * t[q] + above[q] * shifted[q]
            for a in range(2 if h else 1):
                x, ic = parent(ends[0], i, a) if h else (row.dtype.type(1), 0)
                for b in range(2):
                    y, jc = parent(ends[1], j, b)
                    if x * y != 0:
                        target = full[ic, jc]
                        for q in range(row.size):
                            target[q] += x * y * row[q]
    for i in range(h, coarse.shape[1] - h):
        for j in range(1, coarse.shape[2] - 1):
            first = (1 + i + j) & 1
            for k in range(box):
                b = coarse[RHS + ((k ^ first) & 1), i, j]
                for l in range(lanes):
                    b[(k // 2 + 1) * lanes + l] = full[i, j, k * lanes + l]


@compiled
def prolong(s, coarse, ends, box, h, lanes):
    """Add the coarse correction, interpolated linearly along every axis, to the red unknowns."""
    n0, n1 = s.shape[1], s.shape[2]
    full = np.zeros((coarse.shape[1], coarse.shape[2], box * lanes), s.dtype)
    for i in range(h, coarse.shape[1] - h):
        for j in range(1, coarse.shape[2] - 1):
            first = (1 + i + j) & 1
            for k in range(box):
                u = coarse[(k ^ first) & 1, i, j]
                for l in range(lanes):
                    full[i, j, k * lanes + l] = u[(k // 2 + 1) * lanes + l]
    row = np.zeros((box + 2) * lanes, s.dtype)  # with a margin
    inner, w = row[lanes:-lanes], s.shape[3] - 2 * lanes
    below, above = np.empty(w, s.dtype), np.empty(w, s.dtype)
    for q in range(w):
        below[q], above[q] = ends[2, q // lanes * 2, 0], ends[2, q // lanes * 2, 1]
    for i in range(h, n0 - h):
        for j in range(1, n1 - 1):
            inner[:] = 0
            for a in range(2 if h else 1):
                x, ic = parent(ends[0], i, a) if h else (row.dtype.type(1), 0)
                for b in range(2):
                    y, jc = parent(ends[1], j, b)
                    if x * y != 0:
                        source = full[ic, jc]
                        for q in range(inner.size):
                            inner[q] += x * y * source[q]
            u = s[RED, i, j, lanes:]
            if (1 + i + j) & 1:
                for q in range(inner.size):
                    u[q] += inner[q]
            else:
                for q in range(w):
                    u[q] += below[q] * row[q] + above[q] * inner[q]


@compiled
def parent(ends, i, side):
    """Weight and place of the coarse neighbour of place i of a line (both with margins) on a side; a coarse
    unknown's own is itself, once."""
    if (i - 1) & 1:
        return ends.dtype.type(1 - side), i // 2
    return ends[i - 1, side], (i - 1) // 2 + side


@compiled
def cycle(buffer, table, ends, h, lanes):
    """A V(1,1) cycle for the right-hand side on the finest level, from zero; a symmetric operator of it."""
    last = len(table) - 1
    for which in range(last):
        s, coarse = level(buffer, table, which), level(buffer, table, which + 1)
        presmooth(s, h, lanes)
        restrict(s, coarse, ends[which], table[which + 1, BOX], h, lanes)
    s = level(buffer, table, last)
    presmooth(s, h, lanes)
    for _ in range(SWEEPS - 1):
        relax(s, RED, h, lanes)
        relax(s, BLACK, h, lanes)
    for _ in range(SWEEPS):
        relax(s, BLACK, h, lanes)
        relax(s, RED, h, lanes)
    for which in range(last - 1, -1, -1):
        s, coarse = level(buffer, table, which), level(buffer, table, which + 1)
        prolong(s, coarse, ends[which], table[which + 1, BOX], h, lanes)
        relax(s, BLACK, h, lanes)
        relax(s, RED, h, lanes)


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
def aim(g, s, beta, h, lanes):
    """P = Z + beta P, Z the correction on the finest level; the products of the residual with P per lane."""
    n0, n1, w = g.shape[1], g.shape[2], g.shape[3] - 2 * lanes
    factor, total = np.empty(w, g.dtype), np.zeros(w, g.dtype)
    for q in range(w):
        factor[q] = beta[q % lanes]
    for colour in range(2):
        for i in range(h, n0 - h):
            for j in range(1, n1 - 1):
                p, z = g[P + colour, i, j, lanes : lanes + w], s[colour, i, j, lanes : lanes + w]
                r = s[RHS + colour, i, j, lanes : lanes + w]
                for q in range(w):
                    p[q] = z[q] + factor[q] * p[q]
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
    """X += unit CHANGE; the residual B - A X over unit, which single precision then goes on with; its squares per lane."""
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
    unit = np.where(size > 0, size, 1.0)
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
            descent = aim(g, s, beta, h, lanes)
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


@compiled
def pack(field, f, slot, h, lanes, lane):
    """A field (n0, n1, n2) into one lane of the two colours of a slot."""
    n0, n1, n2 = field.shape
    for i in range(n0):
        for j in range(n1):
            first = (i + h + j) & 1
            for k in range(n2):
                f[slot + ((k ^ first) & 1), i + h, j + 1, (k // 2 + 1) * lanes + lane] = field[i, j, k]


@compiled
def unpack(f, slot, field, h, lanes, lane):
    """The inverse of `pack`."""
    n0, n1, n2 = field.shape
    for i in range(n0):
        for j in range(n1):
            first = (i + h + j) & 1
            for k in range(n2):
                field[i, j, k] = f[slot + ((k ^ first) & 1), i + h, j + 1, (k // 2 + 1) * lanes + lane]


@compiled
def pack_operator(f0, f1, f2, reaction, s, h, lanes, lane):
    """The edges of the red unknowns and, in the slot of its inverse, the diagonal of one system, into one lane of a level."""
    n0, n1, n2 = reaction.shape
    zero = s.dtype.type(0)
    for i in range(n0):
        for j in range(n1):
            first = (i + h + j) & 1
            for k in range(n2):
                colour, x, y, q = (k ^ first) & 1, i + h, j + 1, (k // 2 + 1) * lanes + lane
                d = reaction[i, j, k] + f1[i, j, k] + f1[i, j + 1, k] + f2[i, j, k] + f2[i, j, k + 1]
                if h:
                    d += f0[i, j, k] + f0[i + 1, j, k]
                s[INVERSE + colour, x, y, q] = d
                if colour == RED:  # edges that lead out of the box meet zeros
                    s[EDGES + 2, x, y, q] = f1[i, j, k] if j > 0 else zero
                    s[EDGES + 3, x, y, q] = f1[i, j + 1, k] if j < n1 - 1 else zero
                    s[EDGES + 4, x, y, q] = f2[i, j, k] if k > 0 else zero
                    s[EDGES + 5, x, y, q] = f2[i, j, k + 1] if k < n2 - 1 else zero
                    if h:
                        s[EDGES, x, y, q] = f0[i, j, k] if i > 0 else zero
                        s[EDGES + 1, x, y, q] = f0[i + 1, j, k] if i < n0 - 1 else zero


@compiled
def invert(diagonal, out):
    """1 / diagonal where that is positive, else 0."""
    source, target = diagonal.ravel(), out.ravel()
    for q in range(source.size):
        target[q] = 1 / source[q] if source[q] > 0 else 0


@compiled
def in_series(faces, out):
    """Conductances of pairs of edges in series along the second axis, the last alone where their number is odd."""
    for lane in range(out.shape[0]):
        for i in range(out.shape[1]):
            for j in range(out.shape[2]):
                for k in range(out.shape[3]):
                    x = faces[lane, 2 * i, j, k]
                    if 2 * i + 1 < faces.shape[1]:
                        y = faces[lane, 2 * i + 1, j, k]
                        x = x * y / (x + y) if x > 0 and y > 0 else faces.dtype.type(0)
                    out[lane, i, j, k] = x


@compiled
def gather(fine, ends, out):
    """Sums over the fine lines of a coarse one along the second axis, weighed as `prolong` does."""
    for lane in range(out.shape[0]):
        for i in range(out.shape[1]):
            c = 2 * i + 1
            below, above = ends[c - 1, 1], ends[c + 1, 0]
            inside = c + 1 < fine.shape[1]
            for j in range(out.shape[2]):
                for k in range(out.shape[3]):
                    x = fine[lane, c, j, k] + below * fine[lane, c - 1, j, k]
                    out[lane, i, j, k] = x + above * fine[lane, c + 1, j, k] if inside else x
