"""Vectors of a fixed number of lanes inside numba's functions: each operation on them is that of every lane by itself.

Block i of a one-dimensional array of float32, float64 or complex128 is its i-th run of `width(dtype)` numbers, one of
each lane; a block of complex numbers holds the real parts of all lanes, then the imaginary parts. Nothing is left to an
optimiser that may or may not vectorise a loop, and a lane's bits never depend on its neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

VECTOR = 64  # bytes: the widest register of current processors; LLVM splits it where they are narrower


def width(dtype: np.dtype) -> int:
    """Lanes of a block: those of a vector of the real numbers."""
    return VECTOR // np.empty(0, dtype).real.itemsize


class Vector(types.Type):
    """The type of a block in registers: real, or a pair of vectors."""

    def __init__(self, scalar: types.Type) -> None:
        self.pair = isinstance(scalar, types.Complex)
        self.real = scalar.underlying_float if self.pair else scalar
        self.lanes = 8 * VECTOR // self.real.bitwidth
        super().__init__(f"Vector({scalar})")


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, vector: Vector) -> None:
        one = ir.VectorType({32: ir.FloatType(), 64: ir.DoubleType()}[vector.real.bitwidth], vector.lanes)
        super().__init__(dmm, vector, ir.LiteralStructType([one, one]) if vector.pair else one)


def _element(context, builder, array_type, array, block, lane=None):
    """Pointer to a block's real parts, or to that of one lane."""
    vector = Vector(array_type.dtype)
    real = context.get_value_type(vector.real)
    data = builder.bitcast(context.make_array(array_type)(context, builder, array).data, real.as_pointer())
    start = builder.mul(block, ir.Constant(block.type, vector.lanes * (2 if vector.pair else 1)))
    if lane is not None:
        return builder.gep(data, [builder.add(start, lane)])
    return builder.bitcast(builder.gep(data, [start]), ir.VectorType(real, vector.lanes).as_pointer())


def _parts(builder, vector: Vector, value):
    return [builder.extract_value(value, i) for i in (0, 1)] if vector.pair else [value]


def _join(context, builder, vector: Vector, parts):
    if not vector.pair:
        return parts[0]
    both = ir.Constant(context.get_value_type(vector), ir.Undefined)
    return builder.insert_value(builder.insert_value(both, parts[0], 0), parts[1], 1)


def _fma(builder, a, b, c):
    """a b + c, rounded once."""
    bits, lanes = (32 if isinstance(a.type.element, ir.FloatType) else 64), a.type.count
    kind = ir.FunctionType(a.type, [a.type] * 3)
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{lanes}f{bits}"), [a, b, c])


@intrinsic
def load(typing, array, block):
    """Block number `block` of the array."""
    vector, align = Vector(array.dtype), array.dtype.bitwidth // 8

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, *args)
        step = [ir.Constant(ir.IntType(64), i) for i in (0, 1)[: 1 + vector.pair]]
        return _join(context, builder, vector, [builder.load(builder.gep(pointer, [i]), align=align) for i in step])

    return vector(array, types.intp), codegen


@intrinsic
def store(typing, array, block, value):
    """Block number `block` of the array = value."""
    vector, align = Vector(array.dtype), array.dtype.bitwidth // 8

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, args[0], args[1])
        for i, part in enumerate(_parts(builder, vector, args[2])):
            builder.store(part, builder.gep(pointer, [ir.Constant(ir.IntType(64), i)]), align=align)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), codegen


@intrinsic
def put(typing, array, block, lane, value):
    """Lane number `lane` of a block = the scalar value."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, *args[:3])
        for i, part in enumerate(_parts(builder, vector, args[3])):
            builder.store(part, builder.gep(pointer, [ir.Constant(ir.IntType(64), i * vector.lanes)]))
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp, array.dtype), codegen


@intrinsic
def get(typing, array, block, lane):
    """Lane number `lane` of a block."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        pointer = _element(context, builder, array, *args)
        step = [ir.Constant(ir.IntType(64), i * vector.lanes) for i in (0, 1)[: 1 + vector.pair]]
        return _join(context, builder, vector, [builder.load(builder.gep(pointer, [i])) for i in step])

    def codegen_complex(context, builder, signature, args):
        pointer = _element(context, builder, array, *args)
        value = cgutils.create_struct_proxy(array.dtype)(context, builder)
        value.real = builder.load(pointer)
        value.imag = builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), vector.lanes)]))
        return value._getvalue()

    return array.dtype(array, types.intp, types.intp), codegen_complex if vector.pair else codegen


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
        return _join(context, builder, c, [real, imag])

    return c(c, c, c), codegen


@intrinsic
def plus(typing, a, b):
    """a + b, lane by lane."""

    def codegen(context, builder, signature, args):
        pairs = zip(*(_parts(builder, a, x) for x in args), strict=True)
        return _join(context, builder, a, [builder.fadd(x, y) for x, y in pairs])

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
        return _join(context, builder, a, [real, imag])

    return a(a, a), codegen


@intrinsic
def inverse(typing, a):
    """1 / a, lane by lane."""

    def codegen(context, builder, signature, args):
        parts = _parts(builder, a, args[0])
        one = ir.Constant(parts[0].type, [1.0] * a.lanes)
        if not a.pair:
            return builder.fdiv(one, parts[0])
        square = builder.fdiv(one, _fma(builder, parts[0], parts[0], builder.fmul(parts[1], parts[1])))
        return _join(context, builder, a, [builder.fmul(parts[0], square), builder.fneg(builder.fmul(parts[1], square))])

    return a(a), codegen


@intrinsic
def zero(typing, array):
    """A block of zeros, of the array's type."""
    vector = Vector(array.dtype)

    def codegen(context, builder, signature, args):
        return ir.Constant(context.get_value_type(vector), None)

    return vector(array), codegen
