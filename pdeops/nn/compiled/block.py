"""The pointwise part of an FNO's block and its gradients, tile by tile of a few rows that stay in the caches:

    y = s + v W^T + b,   a = gelu(y),   h = a W1^T + b1,   t = gelu(h),   z = t W2^T + b2 + g v,   out = gelu(z),

the last block with a = y and out = z. Of all this only y is kept for the gradients: h and z again cost less than their
way through memory.
"""

from __future__ import annotations

from pdeops.nn.compiled.gelu import activate, inlined, through
from pdeops.nn.compiled.job import NEXT, body, floats, take
from pdeops.nn.compiled.product import add_rows, product
from pdeops.nn.compiled.tile import TILE, TILES, TURN


def scratch(channels: int, hidden: int) -> int:
    """Numbers that a thread writes to and nobody reads afterwards."""
    return TILE * (5 * channels + 4 * hidden)


def parameters(channels: int, hidden: int) -> int:
    """Numbers of the gradients of W, W1, W2, b, b2, g and b1, one after the other."""
    return channels * (channels + 2 * hidden + 3) + hidden


@inlined
def multiply(n, x, y, z):
    """z = x y."""
    x, y, z = floats(x), floats(y), floats(z)
    for i in range(n):
        z[i] = x[i] * y[i]


@body
def forward(job):
    """Rows of a tile, N, C, H, last, keep, scratch, zeros, s, v, W^T, b, W1^T, b1, W2^T, b2, g as often as a tile has
    rows, out, y.

    `zeros`: at least C and H of them; y is written where `keep` is not 0.
    """
    tile, n, c, h, last, keep = job[2], job[3], job[4], job[5], job[6], job[7]
    zeros, s0, v0, wt, b, w1t, b1, w2t, b2, gates, out0, y0 = (
        job[9], job[10], job[11], job[12], job[13], job[14], job[15], job[16], job[17], job[18], job[19], job[20],
    )  # fmt: skip
    wide, thin = 4 * tile * c, 4 * tile * h
    y = job[8] + take(job, TURN, 1) * (5 * wide + 4 * thin)
    a, z, gv = y + wide, y + 2 * wide, y + 3 * wide
    x, t = y + 4 * wide, y + 4 * wide + thin
    while True:
        chunk = take(job, NEXT, TILES * tile)
        if chunk >= n:
            return
        for first in range(chunk, min(chunk + TILES * tile, n), tile):
            rows = min(tile, n - first)
            at = 4 * first * c
            v, out = v0 + at, out0 + at
            if keep:
                y = y0 + at
            product(y, c, s0 + at, c, b, v, c, 1, wt, rows, c, c)
            if last:
                a, z = y, out
            else:
                activate(rows * c, y, a)
            product(x, h, zeros, 0, b1, a, c, 1, w1t, rows, c, h)
            activate(rows * h, x, t)
            multiply(rows * c, gates, v, gv)
            product(z, c, gv, c, b2, t, h, 1, w2t, rows, h, c)
            if not last:
                activate(rows * c, z, out)


@body
def backward(job):
    """Rows of a tile, N, C, H, last, rows of a chunk, scratch, zeros, one and zeros, dout, y, v, W, W1, W1^T, b1, W2,
    W2^T, b2, g as often as a tile has rows, ds, dv, sums.

    Chunk i adds the gradients of the parameters to row i of `sums`, in the order of `parameters`.
    """
    tile, n, c, h, last, limit = job[2], job[3], job[4], job[5], job[6], job[7]
    zeros, ones, dout0, y0, v0 = job[9], job[10], job[11], job[12], job[13]
    w, w1, w1t, b1, w2, w2t, b2, gates = job[14], job[15], job[16], job[17], job[18], job[19], job[20], job[21]
    ds0, dv0, sums = job[22], job[23], job[24]
    wide, thin = 4 * tile * c, 4 * tile * h
    a = job[8] + take(job, TURN, 1) * (5 * wide + 4 * thin)
    z, dz, gz, zv = a + wide, a + 2 * wide, a + 3 * wide, a + 4 * wide
    x = a + 5 * wide
    t, dt, dx = x + thin, x + 2 * thin, x + 3 * thin
    while True:
        chunk = take(job, NEXT, 1)
        if chunk * limit >= n:
            return
        dw = sums + 4 * chunk * (c * (c + 2 * h + 3) + h)
        dw1 = dw + 4 * c * c
        dw2 = dw1 + 4 * c * h
        db = dw2 + 4 * c * h
        db2, dg, db1 = db + 4 * c, db + 8 * c, db + 12 * c
        for first in range(chunk * limit, min((chunk + 1) * limit, n), tile):
            rows = min(tile, n - first)
            at = 4 * first * c
            y, v, ds, dv = y0 + at, v0 + at, ds0 + at, dv0 + at
            if last:
                a = y
            else:
                activate(rows * c, y, a)
            product(x, h, zeros, 0, b1, a, c, 1, w1t, rows, c, h)
            activate(rows * h, x, t)
            if last:
                dz = dout0 + at
            else:
                multiply(rows * c, gates, v, gz)
                product(z, c, gz, c, b2, t, h, 1, w2t, rows, h, c)
                through(rows * c, z, dout0 + at, dz)
            multiply(rows * c, gates, dz, gz)
            multiply(rows * c, dz, v, zv)
            add_rows(dg, ones, zv, rows, c)
            add_rows(db2, ones, dz, rows, c)
            product(dw2, h, dw2, h, zeros, dz, 1, c, t, c, rows, h)
            product(dt, h, zeros, 0, zeros, dz, c, 1, w2, rows, c, h)
            through(rows * h, x, dt, dx)
            add_rows(db1, ones, dx, rows, h)
            product(dw1, c, dw1, c, zeros, dx, 1, h, a, h, rows, c)
            da = ds if last else z
            product(da, c, zeros, 0, zeros, dx, h, 1, w1, rows, h, c)
            if not last:
                through(rows * c, y, da, ds)
            add_rows(db, ones, ds, rows, c)
            product(dw, c, dw, c, zeros, ds, 1, c, v, c, rows, c)
            product(dv, c, gz, c, zeros, ds, c, 1, w, rows, c, c)
