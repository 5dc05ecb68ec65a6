"""out = init + bias + A B, small dense products in single precision whose factors lie in the caches.

The result is made of blocks of ROWS rows and two vectors, which stay in registers while k runs: their loop is written
in LLVM's terms, so that nothing is left to an optimiser that may or may not see it.
"""

from __future__ import annotations

from llvmlite import binding, ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from pdeops.nn.compiled.job import CONTRACT

WIDE = binding.get_host_cpu_features().get("avx512f", False)
LANES, ROWS = (16, 8) if WIDE else (8, 4)  # of a vector; of a block: it takes half of the registers
MULTIPLE = 16  # numbers of columns are multiples of it

VECTOR, INT = ir.VectorType(ir.FloatType(), LANES), ir.IntType(64)


def _block(rows: int, vectors: int, past: bool):
    """out[:rows, : vectors LANES] = init + bias + sum over k < count of A[:, k] B[k].

    Addresses of float32 numbers: out, init, bias, a, b; strides in numbers: of rows of out, init (0: one row for all),
    A and b, and of A's columns.
    """

    @intrinsic
    def block(typing, out, out_row, init, init_row, bias, a, a_row, a_column, b, b_row, count):
        def code(context, builder, signature, args):
            out, out_row, init, init_row, bias, a, a_row, a_column, b, b_row, count = args

            def at(address, stride=None, i=0, vector=None):
                """Pointer to row i, or to one of its vectors."""
                four = ir.Constant(INT, 4)
                if stride is not None and i:
                    address = builder.add(address, builder.mul(stride, ir.Constant(INT, 4 * i)))
                if vector is None:
                    return builder.inttoptr(address, ir.FloatType().as_pointer())
                address = builder.add(address, builder.mul(four, ir.Constant(INT, vector * LANES)))
                return builder.inttoptr(address, VECTOR.as_pointer())

            def load(*where):
                return builder.load(at(*where), align=4)

            places = [(i, j) for i in range(rows) for j in range(vectors)]
            starts = [at(a, a_row, i) for i in range(rows)]
            before = builder.block
            loop, after = builder.append_basic_block("k"), builder.append_basic_block("end")
            builder.branch(loop)
            builder.position_at_end(loop)
            k, offset, line = (builder.phi(INT) for _ in range(3))
            sums = [builder.phi(VECTOR) for _ in places]
            right = [load(line, None, 0, j) for j in range(vectors)]
            left = [_spread(builder, builder.load(builder.gep(p, [offset]), align=4)) for p in starts]
            fma = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), f"llvm.fma.v{LANES}f32"
            )
            new = [builder.call(fma, [left[i], right[j], total]) for (i, j), total in zip(places, sums, strict=True)]
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
                total = builder.fadd(total, builder.fadd(load(init, init_row, i, j), added[j]))
                stored = builder.store(total, at(out, out_row, i, j), align=4 * LANES if past else 4)
                if past:
                    stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
            return context.get_dummy_value()

        return types.none(*[types.int64] * 11), code

    return block


def _spread(builder, number):
    """A vector of one number."""
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), mask)


def _product(past: bool):
    large, narrow, row = _block(ROWS, 2, past), _block(ROWS, 1, past), _block(1, 1, past)

    @njit(**CONTRACT)
    def product(out, out_row, init, init_row, bias, a, a_row, a_column, b, rows, inner, columns):
        """out (rows, columns) = init + bias + A B: A (rows, inner) of two strides, B (inner, columns) contiguous.

        out, init, bias, a, b: addresses; init_row = 0 adds one row to all; `columns`, a multiple of 16.
        """
        for j in range(0, columns, 2 * LANES):
            wide = j + 2 * LANES <= columns
            for i in range(0, rows - ROWS + 1, ROWS):
                o, n, x = out + 4 * (i * out_row + j), init + 4 * (i * init_row + j), a + 4 * i * a_row
                if wide:
                    large(o, out_row, n, init_row, bias + 4 * j, x, a_row, a_column, b + 4 * j, columns, inner)
                else:
                    narrow(o, out_row, n, init_row, bias + 4 * j, x, a_row, a_column, b + 4 * j, columns, inner)
            for i in range(rows - rows % ROWS, rows):
                for c in range(j, min(j + 2 * LANES, columns), LANES):
                    o, n, x = out + 4 * (i * out_row + c), init + 4 * (i * init_row + c), a + 4 * i * a_row
                    row(o, out_row, n, init_row, bias + 4 * c, x, a_row, a_column, b + 4 * c, columns, inner)

    return product


product = _product(past=False)
passed = _product(
    past=True
)  # the caches: for results too large for them, at addresses that are multiples of a vector's


@njit(**CONTRACT)
def add_rows(total, ones, x, rows, columns):
    """total (columns) += sum of the rows of x."""
    product(total, 0, total, 0, ones + 4, ones, 0, 0, x, 1, rows, columns)
