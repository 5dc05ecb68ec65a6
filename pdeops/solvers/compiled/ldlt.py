"""A = L D L^T without pivoting of several matrices of one pattern, a lane each: multifrontal, with dense fronts.

The method: J. W. H. Liu, "The multifrontal method for sparse matrix solution", SIAM Review 34 (1992).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pdeops.kept import kept
from pdeops.solvers.compiled.lanes import LANES, get, inverse, less, load, plus, put, store, times, zero

BLOCK = 24  # pivots, and rows, of a front that are dealt with at a time: so many by so many fit the first cache

kernel = kept(njit, nogil=True, error_model="numpy")
inlined = njit(nogil=True, error_model="numpy", forceinline=True)


def scratch(tree, dtype):
    """L, D, U, C, X, r of `solve`."""
    panels, n, stack = tree.panel[-1], tree.first[-1], tree.update[-1] + 1  # a tile may read one past a triangle
    sizes = (panels, n, np.diff(tree.panel).max(), stack, n)
    return *(np.empty(size * LANES, dtype) for size in sizes), np.empty((LANES + 2, n), dtype)


@kernel
def symmetric(values, mirror, tolerance):
    """Whether the matrices of values (B, nnz) are symmetric, up to a relative tolerance: (B,)."""
    yes = np.empty(len(values), np.bool_)
    for i in range(len(values)):
        yes[i] = True
        for e in range(len(mirror)):
            a, other = values[i, e], values[i, mirror[e]]
            if a != other and not abs(a - other) <= tolerance * abs(a):
                yes[i] = False
                break
    return yes


@kernel
def solve(values, b, which, indptr, indices, tree, tolerance, steps, x, relative, L, D, U, C, X, r):
    """x and |b - A x| / |b| of the systems `which`, no more than lanes; a lane beyond the last repeats it.

    A solution is corrected until its residual meets the tolerance, at most `steps` times; a correction that does not
    lower the residual is the last, and undone. values (B, nnz), b, x (B, n), relative (B,).
    """
    count, n, last = len(which), b.shape[1], len(which) - 1
    size, todo, moved, left = np.empty(count), np.empty(count, np.bool_), r[LANES], r[LANES + 1]
    for lane in range(count):
        i = which[lane]
        size[lane], todo[lane] = _norm(b[i]), False
        for t in range(n):
            x[i, t], r[lane, t] = 0, b[i, t]
            todo[lane] |= b[i, t] != 0
        relative[i] = 1.0 if todo[lane] else 0.0
    for step in range(1 + steps):
        if not todo.sum():
            break
        for t in range(n):
            for lane in range(LANES):
                put(X, t, lane, r[min(lane, last), tree.permutation[t]])
        if step == 0:
            _factor(values, which, tree, L, D, U, C, X)
        else:
            for s in range(len(tree.split)):
                _forward(tree, s, L, X)
        for s in range(len(tree.split) - 1, -1, -1):
            _backward(tree, s, L, D, X)
        for lane in range(count):
            if todo[lane]:
                i = which[lane]
                for t in range(n):
                    moved[tree.permutation[t]] = x[i, tree.permutation[t]] + get(X, t, lane)
                _residual(indptr, indices, values[i], b[i], moved, left)
                now = _norm(left) / size[lane]
                todo[lane] = tolerance < now < relative[i]
                if now < relative[i]:
                    relative[i] = now
                    for t in range(n):
                        x[i, t], r[lane, t] = moved[t], left[t]


@kernel
def _residual(indptr, indices, values, b, x, r):
    """r = b - A x."""
    for i in range(len(b)):
        a = b[i]
        for e in range(indptr[i], indptr[i + 1]):
            a -= values[e] * x[indices[e]]
        r[i] = a


@kernel
def _norm(r):
    total = 0.0
    for a in r:
        total += a.real**2 + a.imag**2
    return total**0.5


@kernel
def _factor(values, which, tree, L, D, U, C, X):
    """L and 1 / D of a group of systems, and X = L^-1 X while L is in the caches. U: one panel, C: the stack."""
    last, nothing = len(which) - 1, zero(U)
    for s in range(len(tree.split)):
        k, n, p, c = tree.first[s + 1] - tree.first[s], tree.start[s + 1] - tree.start[s], tree.panel[s], tree.update[s]
        m = k + n
        for i in range(m * k):
            store(U, i, nothing)
        for i in range(n * (n + 1) // 2):
            store(C, c + i, nothing)
        for e in range(tree.entry_start[s], tree.entry_start[s + 1]):
            for lane in range(LANES):
                put(U, tree.entry_place[e], lane, values[which[min(lane, last)], tree.entry[e]])
        for q in range(tree.child_start[s], tree.child_start[s + 1]):
            _extend(tree, tree.child[q], k, c, U, C)
        for t in range(0, k, BLOCK):
            end = min(t + BLOCK, k)
            for row in range(t, m, BLOCK):
                stop = min(row + BLOCK, m)
                _panel(U, L, D, p, tree.first[s], k, t, end, row, stop)
                _update(U, 0, k, 0, U, L, p, k, t, end, end, k, row, stop)
                _update(C, c - k, 0, 1, U, L, p, k, t, end, k, m, row, stop)
        _forward(tree, s, L, X)


@inlined
def _extend(tree, child, k, c, U, C):
    """Adds the update of a child to its parent's front, of k pivots, whose own update begins at c."""
    start, split, source = tree.start[child], tree.split[child], tree.update[child]
    for i in range(tree.start[child + 1] - start):
        row = tree.place[start + i]
        for j in range(min(split, i + 1)):
            to = row * k + tree.place[start + j]
            store(U, to, plus(load(U, to), load(C, source + j)))
        if row >= k:
            begin = c + (row - k) * (row - k + 1) // 2 - k
            for j in range(split, i + 1):
                to = begin + tree.place[start + j]
                store(C, to, plus(load(C, to), load(C, source + j)))
        source += i + 1


@inlined
def _subtract(C, U, L, c0, c1, c2, c3, u0, u1, u2, u3, l0, l1, k):
    """C[c_i + j] - sum_t U[u_i + t] L[l_j + t] over t < k: a tile of four rows and two columns."""
    a0, a1, a2, a3 = load(C, c0), load(C, c1), load(C, c2), load(C, c3)
    b0, b1, b2, b3 = load(C, c0 + 1), load(C, c1 + 1), load(C, c2 + 1), load(C, c3 + 1)
    for t in range(k):
        x, y = load(L, l0 + t), load(L, l1 + t)
        u = load(U, u0 + t)
        a0, b0 = less(a0, u, x), less(b0, u, y)
        u = load(U, u1 + t)
        a1, b1 = less(a1, u, x), less(b1, u, y)
        u = load(U, u2 + t)
        a2, b2 = less(a2, u, x), less(b2, u, y)
        u = load(U, u3 + t)
        a3, b3 = less(a3, u, x), less(b3, u, y)
    return a0, a1, a2, a3, b0, b1, b2, b3


@kernel
def _panel(U, L, D, p, d, k, t, end, row, stop):
    """Columns t to end of the rows `row` to `stop` of a front of k pivots, when the columns and rows before are done:
    U = L D in place of the panel U (m, k), L at p, 1 / D at d. The first rows begin at t and hold these pivots."""
    for j in range(t, end, 2):
        two = j + 1 < end
        l0 = p + j * k
        l1 = l0 + k if two else l0
        d0, d1, ratio = load(D, d + j), load(D, d + j + two), load(L, l1 + j)
        for i in range(max(j, row), stop, 4):
            rows = stop - i
            u0 = i * k
            u1 = u0 + (k if rows > 1 else 0)
            u2 = u1 + (k if rows > 2 else 0)
            u3 = u2 + (k if rows > 3 else 0)
            a0, a1, a2, a3, b0, b1, b2, b3 = _subtract(
                U, U, L, u0 + j, u1 + j, u2 + j, u3 + j, u0 + t, u1 + t, u2 + t, u3 + t, l0 + t, l1 + t, j - t
            )
            if i == j:
                d0 = inverse(a0)
                ratio = times(a1, d0)
                d1 = inverse(less(b1, a1, ratio))
                store(D, d + j, d0)
                if two:
                    store(D, d + j + 1, d1)
            s = p + j
            store(U, u0 + j, a0)
            store(L, s + u0, times(a0, d0))
            if rows > 1:
                store(U, u1 + j, a1)
                store(L, s + u1, times(a1, d0))
            if rows > 2:
                store(U, u2 + j, a2)
                store(L, s + u2, times(a2, d0))
            if rows > 3:
                store(U, u3 + j, a3)
                store(L, s + u3, times(a3, d0))
            if two:
                b0 = less(b0, a0, ratio)
                store(U, u0 + j + 1, b0)
                store(L, s + u0 + 1, times(b0, d1))
                if rows > 1:
                    b1 = less(b1, a1, ratio)
                    store(U, u1 + j + 1, b1)
                    store(L, s + u1 + 1, times(b1, d1))
                if rows > 2:
                    b2 = less(b2, a2, ratio)
                    store(U, u2 + j + 1, b2)
                    store(L, s + u2 + 1, times(b2, d1))
                if rows > 3:
                    b3 = less(b3, a3, ratio)
                    store(U, u3 + j + 1, b3)
                    store(L, s + u3 + 1, times(b3, d1))


@kernel
def _update(C, c, stride, packed, U, L, p, k, t, end, left, right, row, stop):
    """C -= U L^T over the pivots t to end, of the columns `left` to `right` of the rows `row` to `stop` of a front, up
    to the diagonal.

    Element (i, j) of the front is C[c + i stride + j], or, of a packed triangle, C[c + (i - k) (i - k + 1) / 2 + j].
    """
    for j in range(left, min(right, stop), 2):
        two = j + 1 < min(right, stop)
        l0 = p + j * k + t
        l1 = l0 + (k if two else 0)
        for i in range(max(j, row), stop, 4):
            rows, r = stop - i, i - k
            u0 = i * k + t
            u1 = u0 + (k if rows > 1 else 0)
            u2 = u1 + (k if rows > 2 else 0)
            u3 = u2 + (k if rows > 3 else 0)
            c0 = c + i * stride + packed * (r * (r + 1) // 2) + j
            c1 = c0 + (stride + packed * (r + 1) if rows > 1 else 0)
            c2 = c1 + (stride + packed * (r + 2) if rows > 2 else 0)
            c3 = c2 + (stride + packed * (r + 3) if rows > 3 else 0)
            a0, a1, a2, a3, b0, b1, b2, b3 = _subtract(C, U, L, c0, c1, c2, c3, u0, u1, u2, u3, l0, l1, end - t)
            store(C, c0, a0)
            if two and i > j:
                store(C, c0 + 1, b0)
            if rows > 1:
                store(C, c1, a1)
                if two:
                    store(C, c1 + 1, b1)
            if rows > 2:
                store(C, c2, a2)
                if two:
                    store(C, c2 + 1, b2)
            if rows > 3:
                store(C, c3, a3)
                if two:
                    store(C, c3 + 1, b3)


@kernel
def _forward(tree, s, L, X):
    """X = L^-1 X, of one supernode. Rows of X are those of the factors."""
    x, k, p, below = tree.first[s], tree.first[s + 1] - tree.first[s], tree.panel[s], tree.below
    for i in range(k):
        a = load(X, x + i)
        for t in range(i):
            a = less(a, load(L, p + t), load(X, x + t))
        store(X, x + i, a)
        p += k
    q, end = tree.start[s], tree.start[s + 1]
    while q < end:
        q1, q2, q3 = min(q + 1, end - 1), min(q + 2, end - 1), min(q + 3, end - 1)
        p1, p2, p3 = p + (q1 - q) * k, p + (q2 - q) * k, p + (q3 - q) * k
        a0, a1, a2, a3 = load(X, below[q]), load(X, below[q1]), load(X, below[q2]), load(X, below[q3])
        for t in range(k):
            y = load(X, x + t)
            a0, a1 = less(a0, load(L, p + t), y), less(a1, load(L, p1 + t), y)
            a2, a3 = less(a2, load(L, p2 + t), y), less(a3, load(L, p3 + t), y)
        store(X, below[q], a0)
        store(X, below[q1], a1)
        store(X, below[q2], a2)
        store(X, below[q3], a3)
        q, p = q + 4, p + 4 * k


@kernel
def _backward(tree, s, L, D, X):
    """X = L^-T D^-1 X, of one supernode."""
    x, k, p, below = tree.first[s], tree.first[s + 1] - tree.first[s], tree.panel[s], tree.below
    for j in range(0, k, 4):
        j1, j2, j3 = min(j + 1, k - 1), min(j + 2, k - 1), min(j + 3, k - 1)
        a0, a1 = times(load(X, x + j), load(D, x + j)), times(load(X, x + j1), load(D, x + j1))
        a2, a3 = times(load(X, x + j2), load(D, x + j2)), times(load(X, x + j3), load(D, x + j3))
        row = p + k * k
        for q in range(tree.start[s], tree.start[s + 1]):
            y = load(X, below[q])
            a0, a1 = less(a0, load(L, row + j), y), less(a1, load(L, row + j1), y)
            a2, a3 = less(a2, load(L, row + j2), y), less(a3, load(L, row + j3), y)
            row += k
        store(X, x + j, a0)
        store(X, x + j1, a1)
        store(X, x + j2, a2)
        store(X, x + j3, a3)
    for i in range(k - 1, 0, -1):
        y = load(X, x + i)
        for t in range(i):
            store(X, x + t, less(load(X, x + t), load(L, p + i * k + t), y))
