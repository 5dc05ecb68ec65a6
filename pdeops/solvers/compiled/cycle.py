"""A multigrid cycle for a few systems at once: the passes of `vcycle.VCycle` over contiguous numbers.

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

from pdeops.kept import kept
from pdeops.solvers.coarsening import SWEEPS

# slots of a level: the correction, its right-hand side and the inverse diagonal, by colour; the edges of the red
# unknowns, per axis towards lower and towards higher indices
RED, BLACK, RHS, INVERSE, EDGES, SLOTS = 0, 1, 2, 4, 6, 12
BOX = 4  # the column of a table after the offset and the sizes of arrays: unknowns along the last axis
compiled = kept(njit, nogil=True)


@compiled
def level(buffer, table, which):
    """The array of one level."""
    offset, n0, n1, w = table[which, :4]
    return buffer[offset : offset + SLOTS * n0 * n1 * w].reshape(SLOTS, n0, n1, w)


@compiled
def around(t, u, source, s, colour, i, j, h, lanes):
    """t = the edges' sum over the neighbours, in slot `source` of u, of the unknowns of one colour on the line (i,
    j)."""
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
                for q in range(row.size):
                    row[q] = t[q]
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
