"""Batches of sparse systems of one pattern, against dense solves; every sample is gated by its true residual."""

import sys

import numpy as np
import pytest
import scipy.sparse as sp

from pdeops.errors import InputError
from pdeops.solvers import factors
from pdeops.solvers.factors import Factors, Pattern, solve

SHAPES = [(1,), (2,), (37,), (7, 11), (23, 4), (5, 6, 7)]


def stencil(shape, *, corners=False):
    """The pattern of a matrix on a lattice: neighbours along the axes, or in the whole box around a point."""
    n = int(np.prod(shape))
    x = np.stack(np.unravel_index(np.arange(n), shape), 1)
    gap = np.abs(x[:, None] - x[None])
    near = gap.max(2) <= 1 if corners else gap.sum(2) <= 1
    entries = sp.csr_array(near.astype(float))
    entries.sort_indices()
    return entries


def pattern_of(entries, shape=None):
    return Pattern(entries.indptr, entries.indices, shape)


def systems(pattern, batch, rng, *, complex_=False):
    """Indefinite symmetric ones, dense in (B, n, n) and as values."""

    def normal(*size):
        return rng.normal(size=size) + (1j * rng.normal(size=size) if complex_ else 0)

    dense = normal(batch, pattern.n, pattern.n)
    dense = dense + dense.swapaxes(1, 2) + 3 * np.sign(rng.normal(size=(pattern.n, 1))) * np.eye(pattern.n)
    values = dense[:, pattern.rows, pattern.indices]
    dense = np.stack([pattern.matrix(v).toarray() for v in values])
    return dense, values, normal(batch, pattern.n)


@pytest.fixture(params=["numba", "scipy"])
def engine(request, monkeypatch):
    if request.param == "scipy":
        monkeypatch.setitem(sys.modules, "numba", None)
        monkeypatch.delitem(sys.modules, "pdeops.solvers.compiled.ldlt", raising=False)
    else:
        pytest.importorskip("numba")
    return request.param


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_indefinite_systems_agree_with_dense_solves(shape, complex_, engine):
    rng = np.random.default_rng(0)
    entries = stencil(shape)
    for given in (shape, None):
        pattern = pattern_of(entries, given)
        dense, values, b = systems(pattern, 9, rng, complex_=complex_)
        x, residual, converged, pivoted = solve(pattern, values, b)
        wanted = np.linalg.solve(dense, b[..., None])[..., 0]
        error = np.abs(x - wanted).max(1) / np.abs(wanted).max(1)
        assert (error <= 1e-9 * np.linalg.cond(dense)).all()
        true = np.linalg.norm(b - np.einsum("bij,bj->bi", dense, x), axis=1) / np.linalg.norm(b, axis=1)
        assert (np.abs(residual - true) <= 1e-13).all()
        assert (residual <= 1e-10).all()
        assert converged.all()
        assert pivoted.all() if engine == "scipy" else not pivoted.any()


@pytest.mark.parametrize("shape", [(9, 10), (4, 5, 6)], ids=str)
def test_stencils_with_corners(shape):
    rng = np.random.default_rng(1)
    pattern = pattern_of(stencil(shape, corners=True), shape)
    dense, values, b = systems(pattern, 5, rng)
    x = solve(pattern, values, b).x
    np.testing.assert_allclose(np.einsum("bij,bj->bi", dense, x), b, atol=1e-8)


def test_a_scattered_symmetric_pattern_needs_no_lattice():
    rng = np.random.default_rng(2)
    entries = sp.random_array((120, 120), density=0.03, rng=rng) + sp.eye_array(120)
    entries = sp.csr_array(entries + entries.T)
    entries.sort_indices()
    pattern = pattern_of(entries)
    dense, values, b = systems(pattern, 3, rng)
    x = solve(pattern, values, b).x
    np.testing.assert_allclose(np.einsum("bij,bj->bi", dense, x), b, atol=1e-8)


@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_the_bits_of_a_sample_do_not_depend_on_its_batch(complex_):
    rng = np.random.default_rng(3)
    pattern = pattern_of(stencil((12, 13)), (12, 13))
    _, values, b = systems(pattern, 11, rng, complex_=complex_)
    values[4] = 0  # a sample that fails among them
    values[7] *= 1e200
    together = solve(pattern, values, b)
    alone = [solve(pattern, values[i : i + 1], b[i : i + 1]) for i in range(11)]
    order = rng.permutation(11)
    shuffled = solve(pattern, values[order], b[order])
    for i in range(11):
        assert alone[i].x[0].tobytes() == together.x[i].tobytes()
        assert alone[i].residual[0] == together.residual[i]
        assert shuffled.x[list(order).index(i)].tobytes() == together.x[i].tobytes()
    assert not together.converged[4]
    assert together.converged[[0, 1, 2, 3, 5, 6]].all()


def test_a_zero_pivot_falls_back_to_pivoting():
    pytest.importorskip("numba")
    rng = np.random.default_rng(4)
    pattern = pattern_of(stencil((6, 7)), (6, 7))
    _, values, b = systems(pattern, 6, rng)
    values[2, pattern.rows == pattern.indices] = 0.0  # the first pivot is zero, the matrix not singular
    assert np.linalg.cond(pattern.matrix(values[2]).toarray()) < 1e6
    x, _, converged, pivoted = solve(pattern, values, b)
    assert pivoted.tolist() == [False, False, True, False, False, False]
    assert converged.all()
    np.testing.assert_allclose(pattern.matrix(values[2]) @ x[2], b[2], atol=1e-9)


def test_what_a_tiny_pivot_loses_is_recovered_by_refinement_or_by_pivoting(monkeypatch):
    pytest.importorskip("numba")
    pattern = pattern_of(sp.csr_array(np.ones((2, 2))))
    values, b = np.array([[1e-9, 1.0, 1.0, 1e-9], [2.0, 1.0, 1.0, 2.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])
    for steps, by_pivoting in ((factors.STEPS, False), (0, True)):
        monkeypatch.setattr(factors, "STEPS", steps)
        x, _, converged, pivoted = solve(pattern, values, b)
        assert converged.all()
        assert pivoted.tolist() == [by_pivoting, False]
        np.testing.assert_allclose(x, [[2.0, 1.0], [0.0, 1.0]], atol=1e-8)


def test_a_singular_matrix_is_flagged(engine):
    rng = np.random.default_rng(5)
    pattern = pattern_of(stencil((5, 5)), (5, 5))
    _, values, b = systems(pattern, 3, rng)
    values[1, (pattern.rows == 7) | (pattern.indices == 7)] = 0.0
    x, residual, converged, pivoted = solve(pattern, values, b)
    assert converged.tolist() == [True, False, True]
    assert pivoted[1]
    assert np.isnan(x[1]).all()
    assert np.isinf(residual[1])
    # a Neumann problem whose right-hand side is not in the range: no pivot need be exactly zero
    laplace = sp.csr_array(stencil((5, 5)))
    laplace = -laplace + sp.diags_array(laplace.sum(1))
    flagged = solve(pattern, np.asarray(laplace[pattern.rows, pattern.indices])[None], np.ones((1, 25)))
    assert not flagged.converged[0]


def test_unsymmetric_values_and_patterns(engine):
    rng = np.random.default_rng(6)
    pattern = pattern_of(stencil((6, 6)), (6, 6))
    _, values, b = systems(pattern, 3, rng)
    values[1] += 2 * rng.random(values.shape[1])
    x, _, converged, pivoted = solve(pattern, values, b)
    assert converged.all()
    assert pivoted.tolist() == ([False, True, False] if engine == "numba" else [True] * 3)
    np.testing.assert_allclose(pattern.matrix(values[1]) @ x[1], b[1], atol=1e-9)
    upwind = sp.csr_array(sp.diags_array([np.full(20, 2.0), np.full(19, -1.5), np.full(18, -0.3)], offsets=[0, -1, -2]))
    upwind.sort_indices()
    one_sided = pattern_of(upwind)
    x = solve(one_sided, upwind.data[None], np.ones((1, 20))).x
    np.testing.assert_allclose(upwind @ x[0], np.ones(20), atol=1e-12)


def test_kinds_of_numbers(engine):
    rng = np.random.default_rng(7)
    pattern = pattern_of(stencil((5, 6)))
    _, values, b = systems(pattern, 2, rng)
    phase = solve(pattern, values, b * 1j)
    assert phase.x.dtype == np.complex128
    np.testing.assert_allclose(phase.x, 1j * solve(pattern, values, b).x, rtol=1e-9)
    single = solve(pattern, values.astype(np.float32), b.astype(np.float32))
    assert single.x.dtype == np.float64
    assert single.converged.all()
    nothing = solve(pattern, values, 0 * b)
    assert not nothing.x.any()
    assert nothing.converged.all()
    tiny = solve(pattern, values, 1e-200 * b)  # whose squares are zero
    np.testing.assert_allclose(tiny.x * 1e200, solve(pattern, values, b).x, rtol=1e-7)
    empty = solve(pattern, values[:0], b[:0])
    assert empty.x.shape == (0, 30)


def test_a_tolerance_that_cannot_be_met_keeps_the_best():
    rng = np.random.default_rng(8)
    pattern = pattern_of(stencil((8, 8)), (8, 8))
    _, values, b = systems(pattern, 2, rng)
    out = solve(pattern, values, b, rtol=1e-30)
    assert not out.converged.any()
    assert (out.residual < 1e-12).all()


def test_one_matrix_for_many_right_hand_sides():
    rng = np.random.default_rng(9)
    pattern = pattern_of(stencil((6, 7)), (6, 7))
    dense, values, b = systems(pattern, 5, rng)
    factors = Factors(pattern, values[0])
    out = factors.solve(b)
    assert out.converged.all()
    np.testing.assert_allclose(out.x, np.linalg.solve(dense[0], b.T).T, rtol=1e-7)
    np.testing.assert_allclose(factors.solve(1j * b).x, 1j * out.x, rtol=1e-9)
    with pytest.raises(InputError, match="singular"):
        Factors(pattern, 0 * values[0])
    with pytest.raises(InputError, match=r"\(B, 42\)"):
        factors.solve(b[0])


def test_patterns_are_equal_by_content_and_analysed_once():
    pytest.importorskip("numba")
    entries = stencil((6, 9))
    first, second = pattern_of(entries, (6, 9)), pattern_of(entries, (6, 9))
    assert first == second
    assert hash(first) == hash(second)
    assert first != pattern_of(entries)
    assert first != pattern_of(entries, (9, 6))
    assert factors._symbolic(first) is factors._symbolic(second)


@pytest.mark.parametrize(
    ("indptr", "indices", "shape", "message"),
    [
        ([0, 1], [0, 0], None, "not a pattern"),
        ([0, 2, 1], [0], None, "not a pattern"),
        ([0, 1], [1], None, "square"),
        ([0, 2, 3], [1, 0, 1], None, "increasing order"),
        ([0, 2, 3], [0, 0, 1], None, "increasing order"),
        ([0, 1, 2], [0, 1], (3,), "3 points"),
    ],
)
def test_what_is_not_a_pattern(indptr, indices, shape, message):
    with pytest.raises(InputError, match=message):
        Pattern(indptr, indices, shape)


def test_bad_batches(engine):
    rng = np.random.default_rng(10)
    pattern = pattern_of(stencil((4, 4)))
    _, values, b = systems(pattern, 3, rng)
    with pytest.raises(InputError, match=r"\(B, 64\) and \(B, 16\)"):
        solve(pattern, values[:, :-1], b)
    with pytest.raises(InputError, match="values of shape"):
        solve(pattern, values, b[:2])
    for array, sample in ((values, 1), (b, 2)):
        before, array[sample, 3] = array[sample, 3], np.nan
        solved = solve(pattern, values, b)  # the others are none the worse
        assert np.isnan(solved.x[sample]).all()
        assert solved.residual[sample] == np.inf
        assert solved.converged.tolist() == [i != sample for i in range(3)]
        array[sample, 3] = before
