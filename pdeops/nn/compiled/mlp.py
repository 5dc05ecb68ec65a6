"""y = gelu(x W1^T + b1) W2^T + b2 and its gradients, tile by tile of a few rows that stay in the caches.

Nothing is kept for the gradients but x.
"""

from __future__ import annotations

from pdeops.nn.compiled.gelu import activate, through
from pdeops.nn.compiled.job import NEXT, body, take
from pdeops.nn.compiled.product import add_rows, product
from pdeops.nn.compiled.tile import TILE, TILES, TURN


def scratch(hidden: int) -> int:
    """Numbers that a thread writes to and nobody reads afterwards."""
    return TILE * 4 * hidden


@body
def forward(job):
    """Rows of a tile, N, I, H, O, scratch, zeros (as many as the longest row), x, W1^T, b1, W2^T, b2, y."""
    tile, n, k, h, o = job[2], job[3], job[4], job[5], job[6]
    zeros, x0, w1t, b1, w2t, b2, y0 = job[8], job[9], job[10], job[11], job[12], job[13], job[14]
    z = job[7] + 16 * tile * h * take(job, TURN, 1)
    t = z + 4 * tile * h
    while True:
        chunk = take(job, NEXT, TILES * tile)
        if chunk >= n:
            return
        for first in range(chunk, min(chunk + TILES * tile, n), tile):
            rows = min(tile, n - first)
            product(z, h, zeros, 0, b1, x0 + 4 * first * k, k, 1, w1t, rows, k, h)
            activate(rows * h, z, t)
            product(y0 + 4 * first * o, o, zeros, 0, b2, t, h, 1, w2t, rows, h, o)


@body
def backward(job):
    """Rows of a tile, N, I, H, O, rows of a chunk, whether dx is wanted, scratch, zeros, one and zeros, dy, x, W1,
    W1^T, b1, W2, dx, sums.

    Chunk i adds the gradients of W1^T, W2, b1 and b2, one after the other, to row i of `sums`.
    """
    tile, n, k, h, o, limit, wanted = job[2], job[3], job[4], job[5], job[6], job[7], job[8]
    zeros, ones, dy0, x0 = job[10], job[11], job[12], job[13]
    w1, w1t, b1, w2, dx0, sums = job[14], job[15], job[16], job[17], job[18], job[19]
    z = job[9] + 16 * tile * h * take(job, TURN, 1)
    t, dt, dz = z + 4 * tile * h, z + 8 * tile * h, z + 12 * tile * h
    while True:
        chunk = take(job, NEXT, 1)
        if chunk * limit >= n:
            return
        dw1 = sums + 4 * chunk * (h * (k + o + 1) + o)
        dw2 = dw1 + 4 * k * h
        db1 = dw2 + 4 * o * h
        db2 = db1 + 4 * h
        for first in range(chunk * limit, min((chunk + 1) * limit, n), tile):
            rows = min(tile, n - first)
            x, dy = x0 + 4 * first * k, dy0 + 4 * first * o
            product(z, h, zeros, 0, b1, x, k, 1, w1t, rows, k, h)
            activate(rows * h, z, t)
            add_rows(db2, ones, dy, rows, o)
            product(dw2, h, dw2, h, zeros, dy, 1, o, t, o, rows, h)
            product(dt, h, zeros, 0, zeros, dy, o, 1, w2, rows, o, h)
            through(rows * h, z, dt, dz)
            add_rows(db1, ones, dz, rows, h)
            product(dw1, h, dw1, h, zeros, x, 1, k, dz, k, rows, h)
            if wanted:
                product(dx0 + 4 * first * k, k, zeros, 0, zeros, dz, h, 1, w1, rows, h, k)
