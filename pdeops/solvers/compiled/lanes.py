"""Vectors of a fixed number of lanes inside numba's functions: each operation on them is that of every lane by itself.

Block i of a one-dimensional array of float64 or complex128 is its i-th run of LANES numbers, one of each lane; a block
of complex numbers holds the real parts of all lanes, then the imaginary parts. Nothing is left to an optimiser that may
or may not vectorise a loop, and a lane's bits never depend on its neighbours.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

LANES = 4  # 32 bytes; with twice as many, the factors of twice as many systems share the caches: no faster
REAL = ir.VectorType(ir.DoubleType(), LANES)


class Vector(types.Type):
    """The type of a block in registers: a vector of real numbers, or a pair of them."""

    def __init__(self, scalar: types.Type) -> None:
        self.pair = isinstance(scalar, types.Complex)
        super().__init__(f"Vector({scalar})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, vector: Vector) -> None:
        super().__init__(dmm, vector, ir.LiteralStructType([REAL, REAL]) if vector.pair else REAL)


def _element(context, builder, array_type, array, block, lane=None):
    """Pointer to a block's real parts, or to that of one lane."""
    pair = Vector(array_type.dtype).pair
    data = builder.bitcast(context.make_array(array_type)(context, builder, array).data, REAL.element.as_pointer())
    start = builder.mul(block, ir.Constant(block.type, LANES * (2 if pair else 1)))
    if lane is not None:
        return builder.gep(data, [builder.add(start, lane)])
    return builder.bitcast(builder.gep(data, [start]), REAL.as_pointer())


def _at(builder, pointer, i):
    return builder.gep(pointer, [ir.Constant(ir.IntType(64), i)])


def _parts(builder, vector: Vector, value):
    return [builder.extract_value(value, i) for i in (0, 1)] if vector.pair else [value]


def _join(builder, parts):
    if len(parts) == 1:
        return parts[0]
    both = ir.Constant(ir.LiteralStructType([parts[0].type] * 2), ir.Undefined)
    return builder.insert_value(builder.insert_value(both, parts[0], 0), parts[1], 1)


def _fma(builder, a, b, c):
    """a b + c, rounded once."""
    kind = ir.FunctionType(REAL, [REAL] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f64"), [a, b, c])


@intrinsic
def load(typing, array, block):
    """Block number `block` of the array."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, *args)
        return _join(builder, [builder.load(_at(builder, pointer, i), align=8) for i in range(1 + vector.pair)])

    return vector(array, types.intp), codegen


@intrinsic
def store(typing, array, block, value):
    """Block number `block` of the array = value."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, args[0], args[1])
        for i, part in enumerate(_parts(builder, vector, args[2])):
            builder.store(part, _at(builder, pointer, i), align=8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), codegen


@intrinsic
def put(typing, array, block, lane, value):
    """Lane number `lane` of a block = the scalar value."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, *args[:3])
        for i, part in enumerate(_parts(builder, vector, args[3])):
            builder.store(part, _at(builder, pointer, i * LANES))
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, array.dtype), codegen


@intrinsic
def get(typing, array, block, lane):
    """Lane number `lane` of a block."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, *args)
        return _join(builder, [builder.load(_at(builder, pointer, i * LANES)) for i in range(1 + vector.pair)])

    return array.dtype(array, types.intp, types.intp), codegen


@intrinsic
def less(typing, c, a, b):
    """c - a b, lane by lane."""

    def codegen(context, builder, signature, args):
        (*cs,), (*xs,), (*ys,) = (_parts(builder, c, x) for x in args)
        minus = [builder.fneg(x) for x in xs]
        if not c.pair:
            return _fma(builder, minus[0], ys[0], cs[0])
        real = _fma(builder, xs[1], ys[1], _fma(builder, minus[0], ys[0], cs[0]))
        imag = _fma(builder, minus[1], ys[0], _fma(builder, minus[0], ys[1], cs[1]))
        return _join(builder, [real, imag])

    return c(c, c, c), codegen


@intrinsic
def plus(typing, a, b):
    """a + b, lane by lane."""

    def codegen(context, builder, signature, args):
        pairs = zip(*(_parts(builder, a, x) for x in args), strict=True)
        return _join(builder, [builder.fadd(x, y) for x, y in pairs])

    return a(a, a), codegen


@intrinsic
def times(typing, a, b):
    """a b, lane by lane."""

    def codegen(context, builder, signature, args):
        (*xs,), (*ys,) = (_parts(builder, a, x) for x in args)
        if not a.pair:
            return builder.fmul(xs[0], ys[0])
        real = _fma(builder, builder.fneg(xs[1]), ys[1], builder.fmul(xs[0], ys[0]))
        imag = _fma(builder, xs[1], ys[0], builder.fmul(xs[0], ys[1]))
        return _join(builder, [real, imag])

    return a(a, a), codegen


@intrinsic
def inverse(typing, a):
    """1 / a, lane by lane."""

    def codegen(context, builder, signature, args):
        parts = _parts(builder, a, args[0])
        one = ir.Constant(REAL, [1.0] * LANES)
        if not a.pair:
            return builder.fdiv(one, parts[0])
        square = builder.fdiv(one, _fma(builder, parts[0], parts[0], builder.fmul(parts[1], parts[1])))
        return _join(builder, [builder.fmul(parts[0], square), builder.fneg(builder.fmul(parts[1], square))])

    return a(a), codegen


@intrinsic
def zero(typing, array):
    """A block of zeros, of the array's type."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), None)

    return vector(array), codegen
