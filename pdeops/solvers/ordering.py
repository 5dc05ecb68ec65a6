"""The symbolic half of a sparse LDL^T: which unknown is eliminated when, and what then is where."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import spilu

Ints = NDArray[np.int64]
REACH = 2  # of a stencil that is still one, in cells
# a child joins its parent's supernode if, of at most so many pivots, no more than this fraction of entries is zeros
RELAXED = ((4, 1.0), (16, 0.2), (48, 0.05))


class Symbolic(NamedTuple):
    """The factors P A P^T = L D L^T by supernodes, in postorder: consecutive rows of P A P^T that share their sparsity.

    Supernode s has the pivots first[s] to first[s + 1] and below them the rows below[start[s] : start[s + 1]]. Its
    pivots and rows together are a front, whose pivot columns (a panel, by rows) stand in L from panel[s] on, and whose
    other columns, the update that it hands to its parent (lower triangle, by rows), at update[s] of a stack.
    """

    permutation: Ints  # row i of P A P^T is row permutation[i] of A
    first: Ints
    start: Ints
    below: Ints
    place: Ints  # of each row below, in the front of the parent
    split: Ints  # of the rows below, those that are pivots of the parent
    panel: Ints
    update: Ints  # one more than supernodes: the last is the size of the stack
    child_start: Ints
    child: Ints
    entry_start: Ints
    entry: Ints  # of the matrix, those that a supernode's panel begins with
    entry_place: Ints  # and where


def analyse(rows: Ints, columns: Ints, n: int, shape: tuple[int, ...] | None) -> Symbolic:
    """Of a symmetric pattern of n rows, on a lattice of a shape or on none: the ordering of the fewest operations."""
    # minimum degree is ahead for 5-point stencils, dissection for 9-point ones and in three dimensions
    orders = [minimum_degree(rows, columns, n), *([] if shape is None else dissection(rows, columns, shape))]
    trees = [_elimination(order, rows, columns) for order in orders]
    operations = [sum((len(below) + 1) ** 2 for below in structures) for _, structures in trees]
    best = operations.index(min(operations))
    members, borders = _supernodes(*trees[best])
    return _layout(orders[best], members, borders, rows, columns)


def dissection(rows: Ints, columns: Ints, shape: tuple[int, ...]) -> list[Ints]:
    """Nested dissection of a lattice (C order): both halves of a box first, then the layer between them. None at
    all if the entries reach further than a stencil's."""
    reach = [
        int(np.abs(a - b).max(initial=0))
        for a, b in zip(np.unravel_index(rows, shape), np.unravel_index(columns, shape), strict=True)
    ]
    if max(reach) > REACH:
        return []
    order: list[Ints] = []
    boxes = [np.arange(np.prod(shape)).reshape(shape)]
    while boxes:  # depth first, from the last eliminated to the first
        box = boxes.pop()
        axis = max(range(len(shape)), key=lambda a: (reach[a] > 0) * (box.shape[a] - 2 * reach[a]))
        middle, half = divmod(box.shape[axis] - reach[axis], 2)
        if middle < 1 or not reach[axis]:
            order.append(box.ravel()[::-1])
            continue
        left, between, right = np.split(box, [middle + half, middle + half + reach[axis]], axis)
        order.append(between.ravel()[::-1])
        boxes += [left, right]
    return [np.concatenate(order)[::-1]]


def minimum_degree(rows: Ints, columns: Ints, n: int) -> Ints:
    """Multiple minimum degree, as SuperLU orders a matrix of this pattern."""
    pattern = sp.csc_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    dominant = (pattern + sp.diags_array(1.0 + pattern.sum(0))).tocsc()  # so that no pivot changes the order
    options = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}
    incomplete = spilu(
        dominant, drop_tol=1.0, fill_factor=1.0, **options
    )  # drops what it can: the order is all we want
    return np.argsort(incomplete.perm_c)


def _elimination(order: Ints, rows: Ints, columns: Ints) -> tuple[list[int], list[Ints]]:
    """The elimination tree (parent n at a root), and the rows below the diagonal of each column of L."""
    n = len(order)
    rank = np.empty(n, np.int64)
    rank[order] = np.arange(n)
    rows, columns = rank[rows], rank[columns]
    lower = rows > columns
    by_column = sp.csc_matrix((np.ones(lower.sum()), (rows[lower], columns[lower])), (n, n))
    by_column.sort_indices()
    children: list[list[Ints]] = [[] for _ in range(n + 1)]
    parent, structures = [n] * n, []
    starts = by_column.indptr.tolist()
    for j in range(n):
        below = by_column.indices[starts[j] : starts[j + 1]]
        if children[j]:
            below = np.unique(np.concatenate([below, *children[j]]))
        if len(below):
            parent[j] = int(below[0])
            children[parent[j]].append(below[1:])
        structures.append(below)
        children[j] = []
    return parent, structures


def _supernodes(parent: list[int], structures: list[Ints]) -> tuple[list[list[int]], list[Ints]]:
    """Columns and the rows below them of every supernode, children before parents: an only or heaviest child joins its
    parent where their structures agree, others where that adds few zeros."""
    n = len(parent)
    owner = list(range(n))  # last column of the supernode in which a column is
    members: list[list[int]] = [[] for _ in range(n)]
    heaviest = [-1] * (n + 1)
    for j in range(n):
        members[j] = [j]
        c = heaviest[j]
        if c >= 0 and len(structures[c]) == len(structures[j]) + 1:
            members[j], members[c] = [*members[c], j], []
        if heaviest[parent[j]] < 0 or len(structures[heaviest[parent[j]]]) < len(structures[j]):
            heaviest[parent[j]] = j
    heads = [j for j in range(n) if members[j]]
    for h in heads:
        for j in members[h]:
            owner[j] = h
    # now relax, from the leaves up: `zeros` counts those that a supernode already holds
    children: dict[int, list[int]] = {h: [] for h in heads}
    zeros = dict.fromkeys(heads, 0)
    for h in heads:
        for c in sorted(children[h], key=lambda c: len(members[c])):
            k, rows = len(members[c]), len(members[h]) + len(structures[h])
            more = zeros[c] + zeros[h] + k * (rows - len(structures[c]))
            total = k + len(members[h])
            size = total * (total + 1) // 2 + total * len(structures[h])
            if more <= next((f for most, f in RELAXED if total <= most), 0.0) * size:
                members[h], zeros[h] = members[c] + members[h], more
                children[h].remove(c)
                children[h] += children[c]
                members[c] = []
        if len(structures[h]):
            children[owner[structures[h][0]]].append(h)
    # postorder
    order: list[int] = []
    stack = [h for h in heads if not len(structures[h])]
    while stack:
        h = stack.pop()
        order.append(h)
        stack += children[h]
    order.reverse()
    return [members[h] for h in order], [structures[h] for h in order]


def _layout(order: Ints, members: list[list[int]], borders: list[Ints], rows: Ints, columns: Ints) -> Symbolic:
    """Of supernodes in postorder, their columns and the rows below them numbered as by `order`."""
    n, count = len(order), len(members)
    turn = np.concatenate([np.asarray(m) for m in members])  # column of the first numbering in each new place
    rank = np.empty(n, np.int64)
    rank[turn] = np.arange(n)
    widths = np.array([len(m) for m in members])
    heights = np.array([len(b) for b in borders])
    first, start = (np.concatenate([[0], np.cumsum(x)]) for x in (widths, heights))
    panel = np.concatenate([[0], np.cumsum(widths * (widths + heights))])
    supernode = np.repeat(np.arange(count), widths)
    below = [np.sort(rank[b]) for b in borders]

    def places(s: int, of: Ints) -> Ints:
        """Of rows of P A P^T in the front of supernode s."""
        return np.where(of < first[s + 1], of - first[s], widths[s] + np.searchsorted(below[s], of))

    place, split = [], np.zeros(count, np.int64)
    children: list[list[int]] = [[] for _ in range(count)]
    for s in range(count):
        if heights[s]:
            up = supernode[below[s][0]]
            children[up].append(s)
            split[s] = np.searchsorted(below[s], first[up + 1])
            place.append(places(up, below[s]))
    update = _stack(children, heights * (heights + 1) // 2)
    # entries of the lower triangle, by the supernode of their column
    final = np.empty(n, np.int64)
    final[order[turn]] = np.arange(n)
    r, c = final[rows], final[columns]
    entry = np.flatnonzero(r >= c)
    entry = entry[np.argsort(supernode[c[entry]], kind="stable")]
    entry_start = np.searchsorted(supernode[c[entry]], np.arange(count + 1))
    entry_place = np.empty(len(entry), np.int64)
    for s in range(count):
        at = slice(entry_start[s], entry_start[s + 1])
        entry_place[at] = places(s, r[entry[at]]) * widths[s] + c[entry[at]] - first[s]
    return Symbolic(
        permutation=order[turn],
        first=first,
        start=start,
        below=np.concatenate([np.empty(0, np.int64), *below]),
        place=np.concatenate([np.empty(0, np.int64), *place]),
        split=split,
        panel=panel,
        update=update,
        child_start=np.concatenate([[0], np.cumsum([len(c) for c in children])]),
        child=np.array([c for of in children for c in of], np.int64),
        entry_start=entry_start,
        entry=entry,
        entry_place=entry_place,
    )


def _stack(children: list[list[int]], sizes: Ints) -> Ints:
    """Where each update lives, the lowest place free from its supernode's turn to its parent's, and their height."""
    live: list[tuple[int, int, int]] = []  # begin, end, supernode
    begin = np.zeros(len(sizes) + 1, np.int64)
    for s, size in enumerate(sizes.tolist()):
        at = 0
        for low, high, _ in live:
            if at + size <= low:
                break
            at = high
        begin[s] = at
        live = sorted(x for x in [*live, (at, at + size, s)] if x[2] not in children[s])
        begin[-1] = max(begin[-1], at + size)
    return begin
