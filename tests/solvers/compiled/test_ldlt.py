"""The factors themselves, the vectors of lanes they are made of, and the symbolic phase."""

import numpy as np
import pytest
import scipy.sparse as sp

from pdeops.solvers import ordering
from pdeops.solvers.factors import Pattern
from pdeops.solvers.ordering import analyse, dissection

pytest.importorskip("numba")
from numba import njit

from pdeops.solvers.compiled import ldlt
from pdeops.solvers.compiled.lanes import LANES, get, inverse, less, load, plus, put, store, times


def blocks(numbers):
    """Numbers (..., LANES) as an array of blocks."""
    parts = np.stack([numbers.real, numbers.imag], -2) if np.iscomplexobj(numbers) else numbers
    return np.ascontiguousarray(parts).reshape(-1).view(numbers.dtype)


def numbers(blocks):
    if not np.iscomplexobj(blocks):
        return blocks.reshape(-1, LANES)
    parts = blocks.view(np.float64).reshape(-1, 2, LANES)
    return parts[:, 0] + 1j * parts[:, 1]


def lattice(shape, *, wide=False):
    """The 5-point stencil, or the 13-point one."""
    x = np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), 1)
    entries = sp.csr_array((np.abs(x[:, None] - x[None]).sum(2) <= 1 + wide).astype(float))
    entries.sort_indices()
    return Pattern(entries.indptr, entries.indices, shape)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_arithmetic_of_lanes(dtype):
    @njit
    def run(a):
        x, y, z = load(a, 0), load(a, 1), load(a, 2)
        store(a, 3, less(x, y, z))
        store(a, 4, plus(times(x, y), inverse(z)))
        put(a, 5, 2, get(a, 0, 1))

    rng = np.random.default_rng(0)
    before = rng.normal(size=(6, LANES)) + (1j * rng.normal(size=(6, LANES)) if dtype is np.complex128 else 0)
    memory = blocks(before)
    np.testing.assert_array_equal(numbers(memory), before)
    run(memory)
    x, y, z = before[:3]
    after = before.copy()
    after[3], after[4], after[5, 2] = x - y * z, x * y + 1 / z, x[1]
    np.testing.assert_allclose(numbers(memory), after, rtol=1e-13)


def factors(pattern, values):
    """Dense L and D (B, n, n), (B, n) of P A P^T, and the tree."""
    tree = analyse(pattern.rows, pattern.indices, pattern.n, pattern.shape)
    L, D, U, C, X, _ = ldlt.scratch(tree, values.dtype)
    for array in (L, D, U, C, X):
        array[:] = np.nan  # scratch may hold anything
    ldlt._factor(values, np.arange(len(values)), tree, L, D, U, C, X)
    dense, panels = np.zeros((LANES, pattern.n, pattern.n), values.dtype), numbers(L)
    for s in range(len(tree.split)):
        columns = np.arange(tree.first[s], tree.first[s + 1])
        rows = np.concatenate([columns, tree.below[tree.start[s] : tree.start[s + 1]]])
        panel = panels[tree.panel[s] : tree.panel[s + 1]].reshape(len(rows), len(columns), LANES)
        dense[:, rows[:, None], columns] = panel.transpose(2, 0, 1)
    dense = np.tril(dense, -1) + np.eye(pattern.n)
    return dense[: len(values)], 1 / numbers(D).T[: len(values)], tree


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize(("shape", "wide"), [((9, 14), False), ((9, 8), True), ((5, 5, 6), False), ((45, 2), False)])
def test_factors_multiply_to_the_matrix(shape, wide, dtype):
    pattern, rng = lattice(shape, wide=wide), np.random.default_rng(1)
    size = (LANES - 1, len(pattern.indices))  # one lane is left over
    values = rng.normal(size=size) + (1j * rng.normal(size=size) if dtype is np.complex128 else 0)
    values = values + values[:, pattern.mirror] + 9 * (pattern.rows == pattern.indices)
    L, D, tree = factors(pattern, values)
    for i in range(len(values)):
        permuted = pattern.matrix(values[i]).toarray()[np.ix_(tree.permutation, tree.permutation)]
        np.testing.assert_allclose(L[i] * D[i] @ L[i].T, permuted, atol=1e-11)


def test_a_front_of_several_blocks_of_pivots():
    """A dense matrix: one front with more pivots than a block, and an odd number of them."""
    n = 2 * ldlt.BLOCK + 7
    pattern = Pattern(np.arange(n + 1) * n, np.tile(np.arange(n), n))
    a = np.random.default_rng(2).normal(size=(2, n, n))
    a = a + a.swapaxes(1, 2) + 4 * n * np.diag(np.sign(np.arange(n) - n / 3))
    L, D, tree = factors(pattern, a.reshape(2, -1))
    assert len(tree.split) == 1
    permuted = a[:, tree.permutation][:, :, tree.permutation]
    np.testing.assert_allclose(L * D[:, None] @ L.swapaxes(1, 2), permuted, atol=1e-9)
    assert ((D < 0).sum(1) == (np.linalg.eigvalsh(a) < 0).sum(1)).all()  # Sylvester's law of inertia


@pytest.mark.parametrize("shape", [(1,), (13,), (16, 15), (3, 40), (6, 5, 7)], ids=str)
def test_dissection_is_an_ordering(shape):
    pattern = lattice(shape)
    (order,) = dissection(pattern.rows, pattern.indices, shape)
    assert sorted(order.tolist()) == list(range(pattern.n))


def test_the_ordering_of_the_fewest_operations_is_taken(monkeypatch):
    pattern = lattice((12, 12))
    by_degree = analyse(pattern.rows, pattern.indices, pattern.n, None)
    for poor in ("minimum_degree", "dissection"):
        with monkeypatch.context() as patch:
            rows_of_the_lattice = np.arange(pattern.n)
            patch.setattr(ordering, poor, lambda *_, r=rows_of_the_lattice, p=poor: [r] if p == "dissection" else r)
            both = analyse(pattern.rows, pattern.indices, pattern.n, pattern.shape)
            band = analyse(pattern.rows, pattern.indices, pattern.n, None)
        assert both.panel[-1] < (1.2 * by_degree.panel[-1])
        assert both.panel[-1] < 0.9 * band.panel[-1] or poor == "dissection"


def test_dissection_is_for_stencils():
    assert dissection(np.array([0, 9]), np.array([9, 0]), (10,)) == []  # a periodic axis


def test_the_symbolic_phase_holds_the_whole_fill():
    """Against the pattern of a dense Cholesky factor, of a matrix without cancellation."""
    pattern = lattice((7, 8))
    tree = analyse(pattern.rows, pattern.indices, pattern.n, pattern.shape)
    a = pattern.matrix(np.where(pattern.rows == pattern.indices, 5.0, -1.0)).toarray()
    wanted = np.abs(np.linalg.cholesky(a[np.ix_(tree.permutation, tree.permutation)])) > 1e-14
    held = np.zeros_like(wanted)
    for s in range(len(tree.split)):
        columns = np.arange(tree.first[s], tree.first[s + 1])
        rows = np.concatenate([columns, tree.below[tree.start[s] : tree.start[s + 1]]])
        held[np.ix_(rows, columns)] = True
    assert not (wanted & ~held).any()
    assert np.tril(held).sum() < 1.4 * wanted.sum()
    assert sorted(tree.permutation.tolist()) == list(range(56))


def test_symmetry_is_that_of_the_values_up_to_rounding():
    pattern = lattice((4, 5))
    values = np.random.default_rng(3).normal(size=(4, len(pattern.indices)))
    values = values + values[:, pattern.mirror]
    last_of_first_row = pattern.indptr[1] - 1
    values[1, last_of_first_row] *= 1 + 1e-15
    values[2, last_of_first_row] *= 1 + 1e-9
    values[3, last_of_first_row] = 0
    assert ldlt.symmetric(values, pattern.mirror, 1e-12).tolist() == [True, True, False, False]
