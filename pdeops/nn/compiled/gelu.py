"""gelu(x) = x Phi(x) and its slope Phi(x) + x phi(x) in single precision, at the speed of memory.

Phi - 1/2 and the slope - 1/2 are odd functions: x P(x^2) / Q(x^2) up to an end, where they are 1/2 almost to single
precision, and constant beyond. P / Q were fitted in double precision for the least error over max(1, |x|), by least
squares with the denominator of the step before and weights multiplied by the error (Lawson); then coefficients were
rounded and their last places varied at random for the least error of the evaluation below. No branch and no table:
plain loops, which LLVM turns into vectors as long as the processor has them.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pdeops.nn.compiled.job import CONTRACT, NEXT, body, floats, take

CHUNK = 16384  # numbers that a thread takes at a time: some microseconds

f = np.float32
HALF = f(0.5)
PHI_END = f(5.3)
A0, A1, A2 = f(0.39894226), f(0.03293584), f(0.0046280017)
A3, A4, A5 = f(0.00016033524), f(6.3790785e-06), f(2.4050278e-08)
B0, B1, B2, B3, B4, B5 = f(1), f(0.24922417), f(0.028138872), f(0.0018365763), f(7.135264e-05), f(1.2371697e-06)
SLOPE_END = f(5.6)
C0, C1, C2, C3, C4 = f(0.79788446), f(-0.035764243), f(0.014205653), f(-4.9824866e-05), f(3.1995514e-05)
D0, D1, D2, D3 = f(0.99999994), f(0.28851035), f(0.03897073), f(0.0031994176)
D4, D5, D6 = f(0.00016777546), f(6.3312787e-06), f(-2.0106983e-08)

inlined = njit(**CONTRACT)


@inlined
def value(x):
    """gelu(x); 0 at minus infinity, and not a number where x is none, as no comparison holds there."""
    low = -PHI_END if x < -PHI_END else x
    c = PHI_END if low > PHI_END else low
    u = c * c
    p = ((((A5 * u + A4) * u + A3) * u + A2) * u + A1) * u + A0
    q = ((((B5 * u + B4) * u + B3) * u + B2) * u + B1) * u + B0
    return low * (c * p / q + HALF)


@inlined
def slope(x):
    """The derivative of gelu at x."""
    low = -SLOPE_END if x < -SLOPE_END else x
    c = SLOPE_END if low > SLOPE_END else low
    u = c * c
    p = (((C4 * u + C3) * u + C2) * u + C1) * u + C0
    q = (((((D6 * u + D5) * u + D4) * u + D3) * u + D2) * u + D1) * u + D0
    return c * (p / q) + HALF


@inlined
def activate(n, x, y):
    """y = gelu(x), n numbers at these addresses."""
    x, y = floats(x), floats(y)
    for i in range(n):
        y[i] = value(x[i])


@inlined
def through(n, x, dy, dx):
    """dx = gelu'(x) dy; not in place, where LLVM's vectors step aside for one number at a time."""
    x, dy, dx = floats(x), floats(dy), floats(dx)
    for i in range(n):
        dx[i] = slope(x[i]) * dy[i]


@body
def forward(job):
    """y = gelu(x): n, x, y."""
    n, x, y = job[1], job[2], job[3]
    while True:
        first = take(job, NEXT, CHUNK)
        if first >= n:
            return
        at = 4 * first
        activate(min(CHUNK, n - first), x + at, y + at)


@body
def backward(job):
    """dx = gelu'(x) dy: n, dy, x, dx."""
    n, dy, x, dx = job[1], job[2], job[3], job[4]
    while True:
        first = take(job, NEXT, CHUNK)
        if first >= n:
            return
        at = 4 * first
        through(min(CHUNK, n - first), x + at, dy + at, dx + at)
