"""A table times each matrix of a batch: what a truncated transform does along an axis, channels last."""

from __future__ import annotations

from pdeops.nn.compiled.job import NEXT, body, take
from pdeops.nn.compiled.product import passed, product

CHUNK = 8  # matrices that a thread takes at a time


@body
def apply(job):
    """out = init + A x for each of n: n, rows, inner, columns, whether there is an init, whether out goes past the
    caches, out, init, A, its strides of rows and columns, x, zeros (a row).
    """
    n, rows, inner, columns, added, past = job[2], job[3], job[4], job[5], job[6], job[7]
    out, init, a, a_row, a_column, x, zeros = job[8], job[9], job[10], job[11], job[12], job[13], job[14]
    while True:
        first = take(job, NEXT, CHUNK)
        if first >= n:
            return
        for i in range(first, min(first + CHUNK, n)):
            y, z = out + 4 * i * rows * columns, x + 4 * i * inner * columns
            start, step = (init + 4 * i * rows * columns, columns) if added else (zeros, 0)
            if past:
                passed(y, columns, start, step, zeros, a, a_row, a_column, z, rows, inner, columns)
            else:
                product(y, columns, start, step, zeros, a, a_row, a_column, z, rows, inner, columns)
