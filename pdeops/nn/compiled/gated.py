"""gelu(m + gate v), channels last: passes over blocks of a few rows, beside which the gate stands repeated as often."""

from __future__ import annotations

from pdeops.nn.compiled.gelu import slope, value
from pdeops.nn.compiled.job import NEXT, body, floats, take

BLOCK = 1024  # numbers of a block, about
BLOCKS = 16  # that a thread takes at a time


def rows(channels: int) -> int:
    """Rows of a block."""
    return max(1, BLOCK // channels)


@body
def forward(job):
    """y = gelu(m + gate v): n, numbers of a block, m, gate, v, y."""
    n, block = job[1], job[2]
    m, gate, v, y = floats(job[3]), floats(job[4]), floats(job[5]), floats(job[6])
    while True:
        chunk = take(job, NEXT, BLOCKS * block)
        if chunk >= n:
            return
        for b in range(BLOCKS):
            first = chunk + b * block
            for j in range(min(block, n - first)):
                i = first + j
                y[i] = value(m[i] + gate[j] * v[i])


@body
def backward(job):
    """dm = gelu'(m + gate v) dy, dv = gate dm, and sums of v dm over the rows of each chunk, one after the other, so
    that they do not depend on the threads: n, numbers of a block, dy, m, gate, v, dm, dv, sums.
    """
    n, block = job[1], job[2]
    dy, m, gate, v = floats(job[3]), floats(job[4]), floats(job[5]), floats(job[6])
    dm, dv, sums = floats(job[7]), floats(job[8]), floats(job[9])
    while True:
        chunk = take(job, NEXT, BLOCKS * block)
        if chunk >= n:
            return
        start = chunk // BLOCKS
        for b in range(BLOCKS):
            first = chunk + b * block
            for j in range(min(block, n - first)):
                i = first + j
                z = slope(m[i] + gate[j] * v[i]) * dy[i]
                dm[i] = z
                dv[i] = gate[j] * z
                sums[start + j] += v[i] * z
