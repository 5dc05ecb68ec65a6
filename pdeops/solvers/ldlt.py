"""L D L^T without pivoting of many matrices of one pattern at once, a lane each: multifrontal, with dense fronts."""

from __future__ import annotations

from numba import njit

from pdeops.solvers.lanes import get, inverse, less, load, plus, put, store, times, zero

kernel = njit(nogil=True, cache=True, error_model="numpy")
inlined = njit(nogil=True, cache=True, error_model="numpy", forceinline=True)


@inlined
def _subtract(C, U, L, c0, c1, c2, c3, u0, u1, u2, u3, l0, l1, k):
    """C[c_i + j] - sum_t U[u_i + t] L[l_j + t] for t < k: a tile of four rows and two columns."""
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
def _panel(U, L, D, p, d, m, k):
    """Columns 0 to k of a front of m rows, by rows: U = L D in place of U, L at p, 1 / D at d. Two columns at a time."""
    for j in range(0, k, 2):
        two = j + 1 < k
        l0 = p + j * k
        l1 = l0 + k if two else l0
        d0 = d1 = ratio = zero(U)
        for i in range(j, m, 4):
            rows = m - i
            u0 = i * k
            u1 = u0 + (k if rows > 1 else 0)
            u2 = u1 + (k if rows > 2 else 0)
            u3 = u2 + (k if rows > 3 else 0)
            a0, a1, a2, a3, b0, b1, b2, b3 = _subtract(
                U, U, L, u0 + j, u1 + j, u2 + j, u3 + j, u0, u1, u2, u3, l0, l1, j
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
def _update(C, U, L, c, p, m, k):
    """C (lower triangle, by rows, at c) -= U L^T over the rows k to m of a panel."""
    n = m - k
    for j in range(0, n, 2):
        l0 = p + (k + j) * k
        l1 = l0 + (k if j + 1 < n else 0)
        for i in range(j, n, 4):
            rows = n - i
            u0 = (k + i) * k
            u1 = u0 + (k if rows > 1 else 0)
            u2 = u1 + (k if rows > 2 else 0)
            u3 = u2 + (k if rows > 3 else 0)
            c0 = c + i * (i + 1) // 2 + j
            c1 = c0 + (i + 1 if rows > 1 else 0)
            c2 = c1 + (i + 2 if rows > 2 else 0)
            c3 = c2 + (i + 3 if rows > 3 else 0)
            a0, a1, a2, a3, b0, b1, b2, b3 = _subtract(C, U, L, c0, c1, c2, c3, u0, u1, u2, u3, l0, l1, k)
            store(C, c0, a0)
            if i > j:
                store(C, c0 + 1, b0)
            if rows > 1:
                store(C, c1, a1)
                store(C, c1 + 1, b1)
            if rows > 2:
                store(C, c2, a2)
                store(C, c2 + 1, b2)
            if rows > 3:
                store(C, c3, a3)
                store(C, c3 + 1, b3)


@kernel
def factor(values, lanes, tree, L, D, U, C):
    """The factors of the matrices values[lanes]. L, D: results; U, C: scratch."""
    first, start, below, place, split, panel, update, child_start, child, entry_start, entry, entry_place = tree
    for s in range(len(first) - 1):
        k, n = first[s + 1] - first[s], start[s + 1] - start[s]
        m, c = k + n, update[s]
        nothing = zero(U)
        for i in range(m * k):
            store(U, i, nothing)
        for i in range(n * (n + 1) // 2):
            store(C, c + i, nothing)
        for e in range(entry_start[s], entry_start[s + 1]):
            for lane in range(len(lanes)):
                put(U, entry_place[e], lane, values[lanes[lane], entry[e]])
        for q in range(child_start[s], child_start[s + 1]):
            o = child[q]
            at, from_ = start[o], update[o]
            for i in range(start[o + 1] - at):
                row = place[at + i]
                for j in range(min(split[o], i + 1)):
                    to = row * k + place[at + j]
                    store(U, to, plus(load(U, to), load(C, from_ + j)))
                if row >= k:
                    above = c + (row - k) * (row - k + 1) // 2 - k
                    for j in range(split[o], i + 1):
                        to = above + place[at + j]
                        store(C, to, plus(load(C, to), load(C, from_ + j)))
                from_ += i + 1
        _panel(U, L, D, panel[s], first[s], m, k)
        _update(C, U, L, c, panel[s], m, k)


@kernel
def substitute(tree, L, D, X):
    """X = (L D L^T)^-1 X, rows in the order of the factors."""
    first, start, below, place, split, panel, update, child_start, child, entry_start, entry, entry_place = tree
    for s in range(len(first) - 1):
        x, k, p = first[s], first[s + 1] - first[s], panel[s]
        for i in range(k):
            a = load(X, x + i)
            for t in range(i):
                a = less(a, load(L, p + t), load(X, x + t))
            store(X, x + i, a)
            p += k
        q, end = start[s], start[s + 1]
        while q + 4 <= end:
            a0, a1, a2, a3 = load(X, below[q]), load(X, below[q + 1]), load(X, below[q + 2]), load(X, below[q + 3])
            for t in range(k):
                y = load(X, x + t)
                a0 = less(a0, load(L, p + t), y)
                a1 = less(a1, load(L, p + k + t), y)
                a2 = less(a2, load(L, p + 2 * k + t), y)
                a3 = less(a3, load(L, p + 3 * k + t), y)
            store(X, below[q], a0)
            store(X, below[q + 1], a1)
            store(X, below[q + 2], a2)
            store(X, below[q + 3], a3)
            q, p = q + 4, p + 4 * k
        while q < end:
            a0 = load(X, below[q])
            for t in range(k):
                a0 = less(a0, load(L, p + t), load(X, x + t))
            store(X, below[q], a0)
            q, p = q + 1, p + k
    for s in range(len(first) - 2, -1, -1):
        x, k, p = first[s], first[s + 1] - first[s], panel[s]
        for j in range(0, k, 4):
            j1, j2, j3 = min(j + 1, k - 1), min(j + 2, k - 1), min(j + 3, k - 1)
            a0, a1 = times(load(X, x + j), load(D, x + j)), times(load(X, x + j1), load(D, x + j1))
            a2, a3 = times(load(X, x + j2), load(D, x + j2)), times(load(X, x + j3), load(D, x + j3))
            row = p + k * k
            for q in range(start[s], start[s + 1]):
                y = load(X, below[q])
                a0 = less(a0, load(L, row + j), y)
                a1 = less(a1, load(L, row + j1), y)
                a2 = less(a2, load(L, row + j2), y)
                a3 = less(a3, load(L, row + j3), y)
                row += k
            store(X, x + j, a0)
            store(X, x + j1, a1)
            store(X, x + j2, a2)
            store(X, x + j3, a3)
        for i in range(k - 1, 0, -1):
            y = load(X, x + i)
            for t in range(i):
                store(X, x + t, less(load(X, x + t), load(L, p + i * k + t), y))


@kernel
def residual(indptr, indices, values, b, x, r):
    """r = b - A x."""
    for i in range(len(b)):
        a = b[i]
        for e in range(indptr[i], indptr[i + 1]):
            a -= values[e] * x[indices[e]]
        r[i] = a


@kernel
def norm(r):
    total = 0.0
    for i in range(len(r)):
        total += r[i].real ** 2 + r[i].imag ** 2
    return total**0.5


@kernel
def solve(values, b, indptr, indices, permutation, tree, tolerance, steps, x, relative, L, D, U, C, X, r, lanes):
    """x and |b - A x| / |b| of a group of systems, no more than lanes; a lane beyond the last system repeats it.

    A solution is corrected until its residual meets the tolerance, at most `steps` times; a correction that does not
    lower the residual is the last, and undone. r (systems + 2, n) is scratch.
    """
    count, n = b.shape
    for lane in range(len(lanes)):
        lanes[lane] = min(lane, count - 1)
    factor(values, lanes, tree, L, D, U, C)
    size = relative.copy()
    moved, left = r[count], r[count + 1]
    for i in range(count):
        x[i] = 0
        r[i] = b[i]
        size[i] = norm(b[i])
        relative[i] = 1.0 if size[i] > 0 else 0.0
    done = relative <= tolerance
    for _ in range(1 + steps):
        if done.all():
            break
        for i in range(n):
            for lane in range(len(lanes)):
                put(X, i, lane, r[lanes[lane], permutation[i]])
        substitute(tree, L, D, X)
        for i in range(count):
            if not done[i]:
                for t in range(n):
                    moved[permutation[t]] = x[i, permutation[t]] + get(X, t, i)
                residual(indptr, indices, values[i], b[i], moved, left)
                now = norm(left) / size[i]
                if now < relative[i]:
                    x[i], r[i], relative[i] = moved, left, now
                else:
                    done[i] = True
                done[i] |= relative[i] <= tolerance
