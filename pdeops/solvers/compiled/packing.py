"""Fields and operators of single systems, in and out of the layout of `cycle`, and their coarse versions."""

from __future__ import annotations

from pdeops.solvers.compiled.cycle import EDGES, INVERSE, RED, compiled


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
    """The edges of the red unknowns and, in the slot of its inverse, the diagonal of one system, into one lane of a
    level."""
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
