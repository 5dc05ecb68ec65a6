"""The neural spectral block (`nn.latent_spectral`) and its gradients, by tiles of a few patches, in the caches.

Fields are (B, n1, n2, n3, C), cut into g1 x g2 x g3 patches of L = p1 x p2 x p3 nodes; R = heads tokens rows (head,
token) belong to each patch. Products with C x C matrices are formed for one row of all patches of a tile at a time. Of
the tokens only those before the series are kept for the gradients.
"""

from __future__ import annotations

from pdeops.nn.compiled.elementary import add_columns, series, softmax_down, through_series, through_softmax, transpose
from pdeops.nn.compiled.gelu import inlined
from pdeops.nn.compiled.job import NEXT, body, floats, take
from pdeops.nn.compiled.product import add_rows, product, strided

TURN = 1  # of a job: threads that have come so far, each of which has scratch of its own
TILE = 8  # patches: as many rows as a block of a product has
CHUNKS = 16  # of tiles, each with its own sums of the weights' gradients: bits that do not depend on threads


def length(patches: int) -> int:
    """Patches of a chunk."""
    return TILE * max(1, -(-patches // (TILE * CHUNKS)))


def scratch(nodes: int, channels: int, rows: int, tokens: int) -> int:
    """Numbers that a thread writes to and nobody reads afterwards."""
    one = 5 * nodes * channels + 3 * nodes * rows + 5 * channels + 2 * max(rows, nodes)
    return one + TILE * (nodes * rows + 2 * rows * channels + 3 * tokens * channels + rows)


def parameters(channels: int, rows: int, tokens: int, basis: int) -> int:
    """Numbers of the gradients of keys, start, W_V, series, W_Q and b_Q, one after the other."""
    return channels * (rows + tokens + 2 * channels + 2 * basis)


@inlined
def corner(job, patch, c):
    """The number of a patch's first one, and of those from a node to the next along the first and second axis."""
    g2, g3, p1, p2, p3 = job[3], job[4], job[5], job[6], job[7]
    line = g3 * p3 * c
    plane = g2 * p2 * line
    k = patch % g3
    j = patch // g3 % g2
    i = patch // (g3 * g2)  # over samples as well, which follow one another
    return i * p1 * plane + j * p2 * line + k * p3 * c, plane, line


@inlined
def cut(job, patch, c, field, x):
    """x (L, C) = a patch of the field."""
    first, plane, line = corner(job, patch, c)
    field, x, count, at = floats(field), floats(x), job[7] * c, 0
    for i in range(job[5]):
        for j in range(job[6]):
            start = first + i * plane + j * line
            for k in range(count):
                x[at + k] = field[start + k]
            at += count


@inlined
def put(job, patch, c, field, x):
    """What `cut` reads, written."""
    first, plane, line = corner(job, patch, c)
    field, x, count, at = floats(field), floats(x), job[7] * c, 0
    for i in range(job[5]):
        for j in range(job[6]):
            start = first + i * plane + j * line
            for k in range(count):
                field[start + k] = x[at + k]
            at += count


@inlined
def copy(n, x, y):
    x, y = floats(x), floats(y)
    for i in range(n):
        y[i] = x[i]


@inlined
def encode(l, c, r, x, keys, zeros, attention, means, work):
    """attention (L, R) = softmax over nodes of x keys, means (R, C) = attention^T x; keys: (C, R)."""
    product(attention, r, zeros, 0, zeros, x, c, 1, keys, l, c, r)
    softmax_down(l, r, attention, work)
    product(means, c, zeros, 0, zeros, attention, 1, r, x, r, l, c)


@inlined
def decode(l, c, heads, tokens, xt, queries, bias, zeros, back, work):
    """back (R, L) = softmax over tokens of queries x^T + bias."""
    r = heads * tokens
    product(back, l, zeros, 0, zeros, queries, c, 1, xt, r, c, l)
    add_columns(r, l, back, bias)
    for h in range(heads):
        softmax_down(tokens, l, back + 4 * h * tokens * l, work)


@inlined
def questions(count, c, heads, tokens, z, w_q, b_q, zeros, queries, bias):
    """queries (patches, R, C) = W_Q^T z, bias (patches, R) = b_Q . z, head by head; z: (patches, tokens, C)."""
    r, dh, row = heads * tokens, c // heads, tokens * c
    for h in range(heads):
        for t in range(tokens):
            i, own = h * tokens + t, z + 4 * (t * c + h * dh)
            strided(queries + 4 * i * c, r * c, zeros, 0, zeros, own, row, 1, w_q + 4 * h * dh * c, c, count, dh, c)
            strided(bias + 4 * i, r, zeros, 0, zeros, own, row, 1, b_q + 4 * h * dh, 1, count, dh, 1)


@body
def forward(job):
    """Patches, g2, g3, p1, p2, p3, C, heads, tokens, M, scratch's numbers, keep; scratch, zeros, v, keys^T (C, R),
    start, W_V^T, series, W_Q, b_Q, out, z.

    zeros: at least L, R and tokens C of them; z (patches, tokens, C) is written where `keep` is not 0.
    """
    n, c, heads, tokens, m, keep = job[2], job[8], job[9], job[10], job[11], job[13]
    zeros, v, keys, start, w_vt, w, w_q, b_q, out, z0 = (
        job[15], job[16], job[17], job[18], job[19], job[20], job[21], job[22], job[23], job[24],
    )  # fmt: skip
    l, r, row, dh = job[5] * job[6] * job[7], heads * tokens, tokens * c, c // heads
    x = job[14] + take(job, TURN, 1) * 4 * job[12]
    xt = x + 4 * l * c
    y = xt + 4 * l * c
    attention = y + 4 * l * c
    means = attention + 4 * l * r
    before = means + 4 * TILE * r * c
    after = before + 4 * TILE * row
    bias = after + 4 * TILE * row
    work = bias + 4 * TILE * r
    while True:
        first = take(job, NEXT, TILE)
        if first >= n:
            return
        count = min(TILE, n - first)
        for p in range(count):
            cut(job, first + p, c, v, x)
            encode(l, c, r, x, keys, zeros, attention, means + 4 * p * r * c, work)
        z = z0 + 4 * first * row if keep else before
        for h in range(heads):
            for t in range(tokens):
                own, mean = 4 * (t * c + h * dh), means + 4 * (h * tokens + t) * c
                strided(z + own, row, zeros, 0, start + own, mean, r * c, 1, w_vt + 4 * h * dh, c, count, c, dh)
        series(count * tokens, c, m, z, w, after, work)
        questions(count, c, heads, tokens, after, w_q, b_q, zeros, means, bias)
        for p in range(count):
            cut(job, first + p, c, v, x)
            transpose(l, c, x, xt)
            decode(l, c, heads, tokens, xt, means + 4 * p * r * c, bias + 4 * p * r, zeros, attention, work)
            for h in range(heads):
                own, tokens_h = 4 * h * dh, after + 4 * (p * row + h * dh)
                back = attention + 4 * h * tokens * l
                strided(y + own, c, x + own, c, zeros, back, 1, l, tokens_h, c, l, tokens, dh)
            put(job, first + p, c, out, y)


@body
def backward(job):
    """Patches, g2, g3, p1, p2, p3, C, heads, tokens, M, scratch's numbers, patches of a chunk; scratch, zeros, one
    and zeros, ones (L), dout, v, z, keys, keys^T, W_V, series, W_Q, W_Q^T, b_Q, dv, sums.

    Chunk i adds the gradients of the weights to row i of `sums`, in the order of `parameters`.
    """
    n, c, heads, tokens, m, limit = job[2], job[8], job[9], job[10], job[11], job[13]
    zeros, one, ones, dout, v, z0, keys, keys_t = (
        job[15], job[16], job[17], job[18], job[19], job[20], job[21], job[22],
    )  # fmt: skip
    w_v, w, w_q, w_qt, b_q, dv, sums = job[23], job[24], job[25], job[26], job[27], job[28], job[29]
    l, r, row, dh = job[5] * job[6] * job[7], heads * tokens, tokens * c, c // heads
    x = job[14] + take(job, TURN, 1) * 4 * job[12]
    xt = x + 4 * l * c
    dy = xt + 4 * l * c
    dyt = dy + 4 * l * c
    dx = dyt + 4 * l * c
    back = dx + 4 * l * c
    dback = back + 4 * l * r
    turned = dback + 4 * l * r
    attention = turned + 4 * l * r
    means = attention + 4 * TILE * l * r
    queries = means + 4 * TILE * r * c
    z = queries + 4 * TILE * r * c
    dz = z + 4 * TILE * row
    bias = dz + 4 * TILE * row
    work = bias + 4 * TILE * r
    while True:
        chunk = take(job, NEXT, 1)
        if chunk * limit >= n:
            return
        dkeys = sums + 4 * chunk * c * (r + tokens + 2 * c + 2 * m)
        dstart = dkeys + 4 * r * c
        dw_v = dstart + 4 * row
        dw = dw_v + 4 * c * c
        dw_q = dw + 4 * (2 * m - 1) * c
        db_q = dw_q + 4 * c * c
        for first in range(chunk * limit, min((chunk + 1) * limit, n), TILE):
            count, before = min(TILE, n - first), z0 + 4 * first * row
            series(count * tokens, c, m, before, w, z, work)
            questions(count, c, heads, tokens, z, w_q, b_q, zeros, queries, bias)
            for p in range(count):  # through the decoder
                cut(job, first + p, c, v, x)
                transpose(l, c, x, xt)
                encode(l, c, r, x, keys_t, zeros, attention + 4 * p * l * r, means + 4 * p * r * c, work)
                cut(job, first + p, c, dout, dy)
                transpose(l, c, dy, dyt)
                own, e = queries + 4 * p * r * c, bias + 4 * p * r
                decode(l, c, heads, tokens, xt, own, e, zeros, back, work)
                for h in range(heads):
                    at, part, rows = 4 * (p * row + h * dh), 4 * h * dh, 4 * h * tokens * l
                    strided(dz + at, c, zeros, 0, zeros, back + rows, l, 1, dy + part, c, tokens, l, dh)
                    product(dback + rows, l, zeros, 0, zeros, z + at, c, 1, dyt + part * l, tokens, dh, l)
                    through_softmax(tokens, l, back + rows, dback + rows, work)
                product(e, 1, zeros, 0, zeros, dback, l, 1, ones, r, l, 1)
                product(dx, c, dy, c, zeros, dback, 1, l, own, l, r, c)
                product(own, c, zeros, 0, zeros, dback, l, 1, x, r, l, c)
                put(job, first + p, c, dv, dx)
            for h in range(heads):
                for t in range(tokens):
                    i, at, part = h * tokens + t, 4 * (t * c + h * dh), 4 * h * dh
                    own, e = queries + 4 * i * c, bias + 4 * i
                    strided(dw_q + part * c, c, dw_q + part * c, c, zeros, z + at, 1, row, own, r * c, dh, count, c)
                    strided(db_q + part, 0, db_q + part, 0, zeros, e, 0, r, z + at, row, 1, count, dh)
                    strided(dz + at, row, dz + at, row, zeros, own, r * c, 1, w_qt + part, c, count, c, dh)
                    strided(dz + at, row, dz + at, row, zeros, e, r, 1, b_q + part, dh, count, 1, dh)
            through_series(count * tokens, c, m, before, w, dz, dw, work)
            add_rows(dstart, one, dz, count, row)
            for h in range(heads):
                for t in range(tokens):
                    at, part, own = 4 * (t * c + h * dh), 4 * h * dh * c, means + 4 * (h * tokens + t) * c
                    strided(dw_v + part, c, dw_v + part, c, zeros, dz + at, 1, row, own, r * c, dh, count, c)
                    strided(own, r * c, zeros, 0, zeros, dz + at, row, 1, w_v + part, c, count, dh, c)
            for p in range(count):  # through the encoder
                shares, own = attention + 4 * p * l * r, means + 4 * p * r * c
                cut(job, first + p, c, v, x)
                transpose(l, c, x, xt)
                product(back, l, zeros, 0, zeros, own, c, 1, xt, r, c, l)
                transpose(r, l, back, turned)
                through_softmax(l, r, shares, turned, work)
                cut(job, first + p, c, dv, dx)
                product(dx, c, dx, c, zeros, shares, r, 1, own, l, r, c)
                product(dx, c, dx, c, zeros, turned, r, 1, keys, l, r, c)
                product(dkeys, c, dkeys, c, zeros, turned, 1, r, x, r, l, c)
                put(job, first + p, c, dv, dx)
