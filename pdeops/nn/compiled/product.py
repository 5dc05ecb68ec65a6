"""out = init + bias + A B, small dense products in single precision whose factors lie in the caches.

The result is made of blocks of ROWS rows and two vectors, which stay in registers while k runs: their loop is written
in LLVM's terms, so that nothing is left to an optimiser that may or may not see it. Where columns do not fill the last
vector, it is loaded and stored under a mask.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pdeops.nn.compiled.job import CONTRACT

WIDE = binding.get_host_cpu_features().get("avx512f", False)
LANES, ROWS = (16, 8) if WIDE else (8, 4)  # of a vector; of a block: it takes half of the registers

VECTOR, INT, INT32 = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64), ir.IntType(32)
MASK = ir.VectorType(ir.IntType(1), LANES)


def _block(rows: int, vectors: int, past: bool = False, masked: bool = False):
    """out[:rows, : vectors LANES] = init + bias + sum over k < count of A[:, k] B[k].

    Addresses of float32 numbers: out, init, bias, a, b; strides in numbers: of rows of out, init (0: one row for all),
    A and b, and of A's columns. masked: of the last vector only the first `left` numbers are there.
    """

    @intrinsic
    def block(typing, out, out_row, init, init_row, bias, a, a_row, a_column, b, b_row, count, left):
        def code(context, builder, signature, args):
            out, out_row, init, init_row, bias, a, a_row, a_column, b, b_row, count, left = args
            mask = builder.icmp_signed(
                "<", ir.Constant(ir.VectorType(INT, LANES), list(range(LANES))), _all(builder, left)
            )
            align, kind = ir.Constant(INT32, 4), f"v{LANES}f32.p0"

            def at(address, stride=None, i=0, vector=None):
                """Pointer to row i, or to one of its vectors."""
                four = ir.Constant(INT, 4)
                if stride is not None and i:
                    address = builder.add(address, builder.mul(stride, ir.Constant(INT, 4 * i)))
                if vector is None:
                    return builder.inttoptr(address, ir.FloatType().as_pointer())
                address = builder.add(address, builder.mul(four, ir.Constant(INT, vector * LANES)))
                return builder.inttoptr(address, VECTOR.as_pointer())

            def load(address, stride, i, j):
                if not masked or j < vectors - 1:
                    return builder.load(at(address, stride, i, j), align=4)
                arguments = ir.FunctionType(VECTOR, [VECTOR.as_pointer(), INT32, MASK, VECTOR])
                function = cgutils.get_or_insert_function(builder.module, arguments, f"llvm.masked.load.{kind}")
                return builder.call(function, [at(address, stride, i, j), align, mask, ir.Constant(VECTOR, None)])

            def store(total, i, j):
                where = at(out, out_row, i, j)
                if masked and j == vectors - 1:
                    arguments = ir.FunctionType(ir.VoidType(), [VECTOR, VECTOR.as_pointer(), INT32, MASK])
                    function = cgutils.get_or_insert_function(builder.module, arguments, f"llvm.masked.store.{kind}")
                    builder.call(function, [total, where, align, mask])
                    return
                stored = builder.store(total, where, align=4 * LANES if past else 4)
                if past:
                    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(INT32, 1)]))

            places = [(i, j) for i in range(rows) for j in range(vectors)]
            starts = [at(a, a_row, i) for i in range(rows)]
            before = builder.block
            loop, after = builder.append_basic_block("k"), builder.append_basic_block("end")
            builder.branch(loop)
            builder.position_at_end(loop)
            k, offset, line = (builder.phi(INT) for _ in range(3))
            sums = [builder.phi(VECTOR) for _ in places]
            right = [load(line, None, 0, j) for j in range(vectors)]
            spread = [_all(builder, builder.load(builder.gep(p, [offset]), align=4)) for p in starts]
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
            )
            new = [builder.call(fma, [spread[i], right[j], total]) for (i, j), total in zip(places, sums, strict=True)]
            steps = [
                (k, ir.Constant(INT, 0), builder.add(k, ir.Constant(INT, 1))),
                (offset, ir.Constant(INT, 0), builder.add(offset, a_column)),
                (line, b, builder.add(line, builder.mul(b_row, ir.Constant(INT, 4)))),
                *((total, ir.Constant(VECTOR, None), then) for total, then in zip(sums, new, strict=True)),
            ]
            for phi, start, then in steps:
                phi.add_incoming(start, before)
                phi.add_incoming(then, loop)
            builder.cbranch(builder.icmp_signed("<", steps[0][2], count), loop, after)
            builder.position_at_end(after)
            added = [load(bias, None, 0, j) for j in range(vectors)]
            for (i, j), total in zip(places, new, strict=True):  # last: fewer roundings of a sum that goes on
                store(builder.fadd(total, builder.fadd(load(init, init_row, i, j), added[j])), i, j)
            return context.get_dummy_value()

        return types.none(*[types.int64] * 12), code

    return block


def _all(builder, number):
    """A vector of one number."""
    vector = ir.VectorType(number.type, LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.Constant(INT32, 0))
    return builder.shuffle_vector(
        one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(INT32, LANES), None)
    )


def _product(past: bool):
    full = _block(ROWS, 2, past)
    wide, narrow, row = (_block(*size, past, masked=not past) for size in ((ROWS, 2), (ROWS, 1), (1, 1)))

    @njit(**CONTRACT)
    def strided(out, out_row, init, init_row, bias, a, a_row, a_column, b, b_row, rows, inner, columns):
        """out (rows, columns) = init + bias + A B: A (rows, inner) of two strides, B (inner, columns) of one.

        out, init, bias, a, b: addresses; init_row = 0 adds one row to all.
        """
        for j in range(0, columns, 2 * LANES):
            left = columns - j
            for i in range(0, rows - ROWS + 1, ROWS):
                o, n, x = out + 4 * (i * out_row + j), init + 4 * (i * init_row + j), a + 4 * i * a_row
                c, y = bias + 4 * j, b + 4 * j
                if left >= 2 * LANES:
                    full(o, out_row, n, init_row, c, x, a_row, a_column, y, b_row, inner, LANES)
                elif left > LANES:
                    wide(o, out_row, n, init_row, c, x, a_row, a_column, y, b_row, inner, left - LANES)
                else:
                    narrow(o, out_row, n, init_row, c, x, a_row, a_column, y, b_row, inner, left)
            for i in range(rows - rows % ROWS, rows):
                for k in range(j, min(j + 2 * LANES, columns), LANES):
                    o, n, x = out + 4 * (i * out_row + k), init + 4 * (i * init_row + k), a + 4 * i * a_row
                    c, y = bias + 4 * k, b + 4 * k
                    row(o, out_row, n, init_row, c, x, a_row, a_column, y, b_row, inner, columns - k)

    @njit(**CONTRACT)
    def product(out, out_row, init, init_row, bias, a, a_row, a_column, b, rows, inner, columns):
        """`strided` of a contiguous B."""
        strided(out, out_row, init, init_row, bias, a, a_row, a_column, b, columns, rows, inner, columns)

    return strided, product


strided, product = _product(past=False)
passed = _product(past=True)[1]  # the caches: for results too large for them, of whole vectors at their multiples


@njit(**CONTRACT)
def add_rows(total, ones, x, rows, columns):
    """total (columns) += sum of the rows of x."""
    product(total, 0, total, 0, ones + 4, ones, 0, 0, x, 1, rows, columns)
