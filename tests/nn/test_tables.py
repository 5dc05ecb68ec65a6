"""The compiled product of a table and a batch beside torch's."""

import pytest
import torch

from pdeops.nn import tables

pytest.importorskip("numba")


def plain(table, x, onto=None):
    y = torch.einsum("rk,bkc->brc", table, x)
    return y if onto is None else onto + y


@pytest.mark.parametrize("columns", [16, 48, 128, 20, 33])
@pytest.mark.parametrize(("rows", "inner"), [(18, 64), (64, 18), (35, 33), (3, 41)])
@pytest.mark.parametrize("added", [False, True])
def test_values_and_gradients(rows, inner, columns, added):
    torch.manual_seed(0)
    table, x = torch.randn(rows, inner), torch.randn(61, inner, columns, requires_grad=True)
    onto = torch.randn(61, rows, columns, requires_grad=True) if added else None
    assert tables._Apply.__name__ in str(tables.apply(table, x, onto).grad_fn)  # the compiled one
    inputs = (x, onto) if added else (x,)
    g = torch.randn(61, rows, columns)
    y, wanted = tables.apply(table, x, onto), plain(table.double(), *(i.double() for i in inputs))
    assert (y - wanted).norm() < 3e-7 * wanted.norm()
    ours = torch.autograd.grad(y, inputs, g)
    theirs = torch.autograd.grad(plain(table, *inputs), inputs, g)
    for a, b in zip(ours, theirs, strict=True):
        assert (a - b).norm() < 1e-6 * b.norm()


def test_a_transposed_table_is_read_in_place():
    table, x = torch.randn(18, 64).t(), torch.randn(40, 18, 32)
    assert (tables.apply(table, x) - plain(table, x)).abs().max() < 1e-4


def test_can_be_differentiated_twice():
    table, x = torch.randn(20, 64), torch.randn(40, 64, 16, requires_grad=True)
    second = []
    for apply in (tables.apply, plain):
        (first,) = torch.autograd.grad(apply(table, x).pow(3).sum(), x, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), x)[0])
    assert (second[0] - second[1]).norm() < 1e-5 * second[1].norm()


def test_bits_do_not_depend_on_the_threads(threads):
    table, x = torch.randn(64, 18), torch.randn(100, 18, 64)
    results = []
    for n in (1, 2):
        threads(n)
        results.append(tables.apply(table, x))
    assert torch.equal(*results)


@pytest.mark.parametrize(
    "x", [torch.randn(400, 64, 1), torch.randn(40, 64, 144), torch.randn(40, 64, 16).double(), torch.randn(2, 64, 16)]
)
def test_all_else_is_torchs(x, monkeypatch):
    monkeypatch.setattr(tables, "_Apply", None)
    table = torch.randn(18, 64).to(x.dtype)
    torch.testing.assert_close(tables.apply(table, x), plain(table, x), rtol=1e-4, atol=1e-4)


def test_transforms_of_functions_see_torchs_operators():
    table, x = torch.randn(18, 64), torch.randn(40, 64, 16)
    _, tangent = torch.func.jvp(lambda v: tables.apply(table, v), (x,), (x,))
    torch.testing.assert_close(tangent, plain(table, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_along_a_dimension(dim):
    v, table = torch.randn(2, 3, 4, 5, dtype=torch.float64), torch.randn(6, (2, 3, 4, 5)[dim], dtype=torch.float64)
    expected = torch.tensordot(v, table, ([dim], [1])).movedim(-1, dim)
    torch.testing.assert_close(tables.along(table, v, dim), expected)
