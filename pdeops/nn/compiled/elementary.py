"""Exponentials, sines and cosines in single precision, and passes made of them, as plain loops that LLVM turns into
vectors. Series of Taylor, on an interval to which the argument is reduced: to single precision there."""

from __future__ import annotations

from math import factorial, log, pi

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from pdeops.nn.compiled.gelu import inlined
from pdeops.nn.compiled.job import floats

f = np.float32
ZERO, HALF, ONE, TWO, PI = f(0), f(0.5), f(1), f(2), f(pi)
LOWEST, LOG2E, MAGIC = f(-87), f(1 / log(2)), f(1.5 * 2**23)  # MAGIC: added, it leaves the nearest whole number
LN2_HIGH = f(0.693359375)
LN2_LOW = f(log(2) - 0.693359375)
E2, E3, E4, E5, E6, E7 = (f(1 / factorial(k)) for k in range(2, 8))
S1, S3, S5, S7, S9, S11, S13 = (f((-1) ** (k // 2) * pi**k / factorial(k)) for k in range(1, 14, 2))
C2, C4, C6, C8, C10, C12, C14 = (f((-1) ** (k // 2) * pi**k / factorial(k)) for k in range(2, 15, 2))


@intrinsic
def power_of_two(typing, shifted):
    """2^n of n + MAGIC, n = -126 .. 127."""

    def code(context, builder, signature, args):
        int32 = ir.IntType(32)
        exponent = builder.shl(builder.bitcast(args[0], int32), ir.Constant(int32, 23))
        return builder.bitcast(builder.add(exponent, ir.Constant(int32, 127 << 23)), ir.FloatType())

    return types.float32(types.float32), code


@intrinsic
def nearest(typing, x):
    """The nearest whole number."""

    def code(context, builder, signature, args):
        function = builder.module.declare_intrinsic("llvm.rint", [ir.FloatType()])
        return builder.call(function, args)

    return types.float32(types.float32), code


@inlined
def exp(x):
    """Of x <= 0; exp(-87) below."""
    low = LOWEST if x < LOWEST else x
    shifted = low * LOG2E + MAGIC
    n = shifted - MAGIC
    r = low - n * LN2_HIGH - n * LN2_LOW
    p = ((((((E7 * r + E6) * r + E5) * r + E4) * r + E3) * r + E2) * r + ONE) * r + ONE
    return p * power_of_two(shifted)


@inlined
def wave(turns):
    """sin and cos of 2 pi `turns`, by those of half the angle."""
    r = turns - nearest(turns)
    u = r * r
    sine = r * ((((((S13 * u + S11) * u + S9) * u + S7) * u + S5) * u + S3) * u + S1)
    cosine = ((((((C14 * u + C12) * u + C10) * u + C8) * u + C6) * u + C4) * u + C2) * u + ONE
    return TWO * sine * cosine, ONE - TWO * sine * sine


@inlined
def softmax_down(rows, columns, x, work):
    """x (rows, columns) <- softmax over the rows of each column; work: two rows."""
    x, top, total = floats(x), floats(work), floats(work + 4 * columns)
    for j in range(columns):
        top[j] = x[j]
        total[j] = ZERO
    for i in range(1, rows):
        for j in range(columns):
            v = x[i * columns + j]
            top[j] = v if v > top[j] else top[j]
    for i in range(rows):
        for j in range(columns):
            v = exp(x[i * columns + j] - top[j])
            x[i * columns + j] = v
            total[j] += v
    for j in range(columns):
        total[j] = ONE / total[j]
    for i in range(rows):
        for j in range(columns):
            x[i * columns + j] *= total[j]


@inlined
def through_softmax(rows, columns, y, dy, work):
    """dy <- the gradient of what y (rows, columns) is the softmax of, over the rows of each column; work: a row."""
    y, dy, dot = floats(y), floats(dy), floats(work)
    for j in range(columns):
        dot[j] = ZERO
    for i in range(rows):
        for j in range(columns):
            dot[j] += y[i * columns + j] * dy[i * columns + j]
    for i in range(rows):
        for j in range(columns):
            dy[i * columns + j] = y[i * columns + j] * (dy[i * columns + j] - dot[j])


@inlined
def add_columns(rows, columns, x, bias):
    """x (rows, columns) += bias (rows)."""
    x, bias = floats(x), floats(bias)
    for i in range(rows):
        b = bias[i]
        for j in range(columns):
            x[i * columns + j] += b


@inlined
def transpose(rows, columns, x, y):
    """y (columns, rows) = x^T."""
    x, y = floats(x), floats(y)
    for j in range(columns):
        for i in range(rows):
            y[j * rows + i] = x[i * columns + j]


@inlined
def series(rows, c, m, z, w, y, work):
    """y = z + sum_(i=1)^(m-1) w_(i-1) sin(i a) + sum_(i=0)^(m-1) w_(m-1+i) cos(i a), a = pi z / m, of (rows, c).

    work: four rows.
    """
    z, w, y, half = floats(z), floats(w), floats(y), HALF / f(m)
    s1, c1, s, k = floats(work), floats(work + 4 * c), floats(work + 8 * c), floats(work + 12 * c)
    for row in range(rows):
        at = row * c
        for j in range(c):
            s1[j], c1[j] = wave(half * z[at + j])
            s[j], k[j] = s1[j], c1[j]
            y[at + j] = z[at + j] + w[(m - 1) * c + j]
        for i in range(m - 1):
            for j in range(c):
                sine, cosine = s[j], k[j]
                y[at + j] += w[i * c + j] * sine + w[(m + i) * c + j] * cosine
                s[j] = sine * c1[j] + cosine * s1[j]
                k[j] = cosine * c1[j] - sine * s1[j]


@inlined
def through_series(rows, c, m, z, w, dy, dw, work):
    """dy <- the gradient of z, where it was that of `series`; dw += that of w. work: five rows."""
    z, w, dy, dw, half, step = floats(z), floats(w), floats(dy), floats(dw), HALF / f(m), PI / f(m)
    s1, c1, s, k = floats(work), floats(work + 4 * c), floats(work + 8 * c), floats(work + 12 * c)
    slope = floats(work + 16 * c)
    for row in range(rows):
        at = row * c
        for j in range(c):
            s1[j], c1[j] = wave(half * z[at + j])
            s[j], k[j] = s1[j], c1[j]
            slope[j] = ONE
            dw[(m - 1) * c + j] += dy[at + j]
        rate = ZERO
        for i in range(m - 1):
            rate += step
            for j in range(c):
                sine, cosine, d = s[j], k[j], dy[at + j]
                slope[j] += rate * (w[i * c + j] * cosine - w[(m + i) * c + j] * sine)
                dw[i * c + j] += d * sine
                dw[(m + i) * c + j] += d * cosine
                s[j] = sine * c1[j] + cosine * s1[j]
                k[j] = cosine * c1[j] - sine * s1[j]
        for j in range(c):
            dy[at + j] *= slope[j]
