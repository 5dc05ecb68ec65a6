"""y = gelu(x W1^T + b1) W2^T + b2 and its gradients, tile by tile of a few rows that stay in the caches.

Nothing is kept for the gradients but x. Rows of x (I) and y (O) need not fill vectors: where they do not, they are
copied to rows that do (padded with zeros) or from them.
"""

from __future__ import annotations

from pdeops.nn.compiled.gelu import activate, inlined, through
from pdeops.nn.compiled.job import NEXT, body, floats, take
from pdeops.nn.compiled.product import MULTIPLE, add_rows, product
from pdeops.nn.compiled.tile import TILE, TILES, TURN


def padded(channels: int) -> int:
    """Numbers of a row that vectors fill."""
    return -(-channels // MULTIPLE) * MULTIPLE


def scratch(n_in: int, hidden: int, n_out: int) -> int:
    """Numbers that a thread writes to and nobody reads afterwards."""
    return TILE * (4 * hidden + max(padded(n_in), padded(n_out)))


@inlined
def copy(x, x_row, y, y_row, rows, columns):
    """y[:, :columns] = x[:, :columns], with rows of other lengths."""
    x, y = floats(x), floats(y)
    for r in range(rows):
        for i in range(columns):
            y[r * y_row + i] = x[r * x_row + i]


@inlined
def pad(x, x_row, y, y_row, rows):
    """y = x with zeros at the ends of its rows."""
    numbers = floats(y)
    for i in range(rows * y_row):
        numbers[i] = 0
    copy(x, x_row, y, y_row, rows, x_row)


@body
def forward(job):
    """Rows of a tile, N, I, H, O, O padded, numbers of a thread's scratch, scratch, zeros, x, W1^T, b1, W2^T
    and b2 padded, y.

    `zeros`: as many as the longest row.
    """
    tile, n, k, h, o, wide, size = job[2], job[3], job[4], job[5], job[6], job[7], job[8]
    zeros, x0, w1t, b1, w2t, b2, y0 = job[10], job[11], job[12], job[13], job[14], job[15], job[16]
    z = job[9] + 4 * size * take(job, TURN, 1)
    t, u = z + 4 * tile * h, z + 8 * tile * h
    while True:
        chunk = take(job, NEXT, TILES * tile)
        if chunk >= n:
            return
        for first in range(chunk, min(chunk + TILES * tile, n), tile):
            rows = min(tile, n - first)
            y = y0 + 4 * first * o
            product(z, h, zeros, 0, b1, x0 + 4 * first * k, k, 1, w1t, rows, k, h)
            activate(rows * h, z, t)
            if wide == o:
                u = y
            product(u, wide, zeros, 0, b2, t, h, 1, w2t, rows, h, wide)
            if wide != o:
                copy(u, wide, y, o, rows, o)


@body
def backward(job):
    """Rows of a tile, N, I, H, O, I padded, O padded, rows of a chunk, whether dx is wanted, numbers of a thread's
    scratch, scratch, zeros, one and zeros, dy, x, W1 padded, W1^T, b1, W2, dx, sums.

    Chunk i adds the gradients of W1^T, W2, b1 and b2 (padded), one after the other, to row i of `sums`.
    """
    tile, n, k, h, o, wide, broad, limit, wanted = (
        job[2],
        job[3],
        job[4],
        job[5],
        job[6],
        job[7],
        job[8],
        job[9],
        job[10],
    )
    zeros, ones, dy0, x0 = job[13], job[14], job[15], job[16]
    w1, w1t, b1, w2, dx0, sums = job[17], job[18], job[19], job[20], job[21], job[22]
    z = job[12] + 4 * job[11] * take(job, TURN, 1)
    t, dt, dz = z + 4 * tile * h, z + 8 * tile * h, z + 12 * tile * h
    spare = z + 16 * tile * h
    while True:
        chunk = take(job, NEXT, 1)
        if chunk * limit >= n:
            return
        dw1 = sums + 4 * chunk * (h * (k + o + 1) + broad)
        dw2 = dw1 + 4 * k * h
        db1 = dw2 + 4 * o * h
        db2 = db1 + 4 * h
        for first in range(chunk * limit, min((chunk + 1) * limit, n), tile):
            rows = min(tile, n - first)
            x, dy = x0 + 4 * first * k, dy0 + 4 * first * o
            if broad != o:
                pad(dy, o, spare, broad, rows)
                dy = spare
            product(z, h, zeros, 0, b1, x, k, 1, w1t, rows, k, h)
            activate(rows * h, z, t)
            add_rows(db2, ones, dy, rows, broad)
            product(dw2, h, dw2, h, zeros, dy, 1, broad, t, o, rows, h)
            product(dt, h, zeros, 0, zeros, dy, broad, 1, w2, rows, o, h)
            through(rows * h, z, dt, dz)
            add_rows(db1, ones, dz, rows, h)
            product(dw1, h, dw1, h, zeros, x, 1, k, dz, k, rows, h)
            if not wanted:
                continue
            dx = dx0 + 4 * first * k
            if wide == k:
                product(dx, k, zeros, 0, zeros, dz, h, 1, w1, rows, h, k)
            else:
                product(spare, wide, zeros, 0, zeros, dz, h, 1, w1, rows, h, wide)
                copy(spare, wide, dx, k, rows, k)
