"""The V-cycle beside dense matrices, and its symmetries."""

import math

import pytest
import torch

from pdeops.errors import InputError
from pdeops.nn.multigrid import Prolongation, Stencil, VCycle

WRAP, WALL, NODE, ZERO = (("wrap", "wrap"), ("wall", "wall"), ("node", "node"), ("zero", "zero"))
KINDS = {"periodic": WRAP, "cells": WALL, "ends": NODE, "dirichlet": ZERO}


def source(kind, n, j):
    """The node whose value stands at j = -1 .. n, or None for zero."""
    if 0 <= j < n:
        return j
    return {WRAP: j % n, WALL: 0 if j < 0 else n - 1, NODE: min(1, n - 1) if j < 0 else max(n - 2, 0), ZERO: None}[kind]


def gather(kind, n, m, taps, stride):
    """(taps, m, n): output i = sum_t w_t x_(stride i + t - 1)."""
    table = torch.zeros(taps, m, n, dtype=torch.float64)
    for t in range(taps):
        for i in range(m):
            j = source(kind, n, stride * i + t - 1)
            if j is not None:
                table[t, i, j] += 1
    return table


def scatter(kind, m, n, taps):
    """(taps, n, m): coarse node j = -1 .. m gives w_t to the fine node 2 j - 1 + t."""
    table = torch.zeros(taps, n, m, dtype=torch.float64)
    for t in range(taps):
        for j in range(-1, m + 1):
            if 0 <= 2 * j - 1 + t < n and source(kind, m, j) is not None:
                table[t, 2 * j - 1 + t, source(kind, m, j)] += 1
    return table


def fitted(weight, axis, taps):
    """On walls: as many taps as keep the nodes of both levels symmetric."""
    w = weight.movedim(axis + 2, 0)
    if len(w) == 3 and taps == 4:
        w = torch.stack([w[0], w[0] + w[1], w[1] + w[2], w[2]]) / 2
    elif len(w) == 4 and taps == 3:
        w = torch.stack([w[0] + w[1], w.sum(0), w[2] + w[3]]) / 2
    return w.movedim(0, axis + 2)


def matrix(weight, tables):
    """Weights (out, in, *taps) and tables (taps, m, n) of each axis -> (m_1 .. m_d out, n_1 .. n_d in)."""
    d, result = len(tables), weight
    for table in tables:
        result = torch.tensordot(result, table, dims=([2], [0]))  # taps go first, (m, n) come last
    rows, columns = [2 + 2 * i for i in range(d)], [3 + 2 * i for i in range(d)]
    result = result.permute(*rows, 0, *columns, 1)
    return result.reshape(math.prod(result.shape[: d + 1]), -1)


def convolution(weight, kinds, n, stride=1):
    tables, m = [], [-(-k // stride) for k in n]
    for axis, (kind, k) in enumerate(zip(kinds, n, strict=True)):
        taps = 4 if stride == 2 and kind in (WALL, NODE) and k % 2 == 0 else 3
        weight = fitted(weight, axis, taps)
        tables.append(gather(kind, k, m[axis], taps, stride))
    return matrix(weight, tables)


def prolongation(weight, kinds, n):
    weight, tables = weight.transpose(0, 1), []
    for axis, (kind, k) in enumerate(zip(kinds, n, strict=True)):
        if kind in (WALL, NODE):
            weight = fitted(weight, axis, 3 if k % 2 else 4)
        tables.append(scatter(kind, -(-k // 2), k, weight.shape[2 + axis]))
    return matrix(weight, tables)


def cycle_matrix(cycle, kinds, n, l=0, u=None, f=None):
    """The algorithm with matrices for every operation; u, f: matrices that make them of the cycle's f."""
    level = cycle.levels[l]

    def conv(stencil, at=n):
        return convolution(stencil.weight, kinds, at, stencil.stride)

    if u is None:
        f = torch.eye(math.prod(n) * cycle.levels[0].start.weight.shape[1], dtype=torch.float64)
        u = conv(level.start) @ f
    for sweep in level.pre:
        u = u + conv(sweep.smoother) @ (f - conv(sweep.operator) @ u)
    if level.down is not None:
        restricted = f if level.down.operator is None else f - conv(level.down.operator) @ u
        coarse = [-(-k // 2) for k in n]
        below = cycle_matrix(
            cycle, kinds, coarse, l + 1, conv(level.down.solution) @ u, conv(level.down.source) @ restricted
        )
        u = u + prolongation(level.up.weight, kinds, n) @ below
    for sweep in level.post:
        u = u + conv(sweep.smoother) @ (f - conv(sweep.operator) @ u)
    return u


CASES = [
    (("periodic",), (12,)),
    (("periodic",), (11,)),
    (("cells",), (13,)),
    (("ends",), (16,)),
    (("dirichlet",), (9,)),
    (("periodic", "cells"), (8, 7)),
    (("ends", "dirichlet"), (9, 6)),
    (("dirichlet", "periodic"), (5, 8)),
    (("cells", "periodic", "dirichlet"), (4, 3, 5)),
]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("prolong", [3, 4])
@pytest.mark.parametrize(("names", "n"), CASES)
def test_the_cycle_is_its_matrix(names, n, prolong, residual):
    kinds = tuple(KINDS[name] for name in names)
    torch.manual_seed(0)
    options = {"pre": (1, 0, 2), "post": (1, 2, 0), "residual": residual, "prolongation": prolong}
    cycle = VCycle(2, 3, kinds, **options).double()
    f = torch.randn(2, *n, 2, dtype=torch.float64)
    expected = f.flatten(1) @ cycle_matrix(cycle, kinds, n).T
    torch.testing.assert_close(cycle(f), expected.view(2, *n, 3), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_translations(d):
    n, step = (16, 24, 8)[:d], 4
    cycle = VCycle(2, 3, (WRAP,) * d, pre=(1, 1, 2), post=(0, 1, 0), residual=True).double()
    f = torch.randn(2, *n, 2, dtype=torch.float64)
    for axis in range(1, d + 1):
        moved = cycle(f.roll(step, axis))
        torch.testing.assert_close(moved, cycle(f).roll(step, axis), rtol=1e-12, atol=1e-13)
        assert not torch.allclose(cycle(f.roll(1, axis)), cycle(f).roll(1, axis), rtol=1e-3)


@pytest.mark.parametrize("prolong", [3, 4])
@pytest.mark.parametrize("kind", [WALL, NODE])
@pytest.mark.parametrize("n", [(16, 17), (21, 12), (33, 20)])
def test_reflections(kind, n, prolong):
    """Reflecting the field and every kernel reflects the result; it does not with zeros and even sizes."""
    f = torch.randn(2, *n, 2, dtype=torch.float64)
    for axis in (1, 2):
        cycle = VCycle(2, 3, (kind, kind), pre=(1, 1, 2), post=(0, 1, 0), residual=True, prolongation=prolong).double()
        u = cycle(f)
        with torch.no_grad():
            for weight in cycle.parameters():
                weight.copy_(weight.flip(axis + 1))
        torch.testing.assert_close(cycle(f.flip(axis)), u.flip(axis), rtol=1e-12, atol=1e-13)


def test_a_constant_stays_one():
    """On walls, of kernels whose taps on even and odd nodes sum to one: linear interpolation, at any size."""
    for taps, weight in ((3, [0.5, 1, 0.5]), (4, [0.25, 0.75, 0.75, 0.25])):
        up = Prolongation(1, (WALL,), taps).double()
        up.weight.data = torch.tensor(weight, dtype=torch.float64).view(1, 1, taps)
        for n in (8, 9):
            one = up(torch.ones(1, -(-n // 2), 1, dtype=torch.float64), torch.zeros(1, n, 1, dtype=torch.float64))
            torch.testing.assert_close(one, torch.ones(1, n, 1, dtype=torch.float64))


@pytest.mark.parametrize("kind", list(KINDS.values()))
def test_every_size_from_17_to_257(kind):
    torch.manual_seed(0)
    cycle = VCycle(1, 2, (kind,), pre=(1, 1, 1, 1, 1), post=(0, 0, 0, 0, 1))
    for n in range(17, 258):
        f = torch.randn(1, n, 1, requires_grad=True)
        u = cycle(f)
        assert u.shape == (1, n, 2)
        cycle.zero_grad()
        u.square().sum().backward()
        assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in cycle.parameters())
        assert f.grad.isfinite().all()


@pytest.mark.parametrize("kind", list(KINDS.values()))
@pytest.mark.parametrize("n", [(17, 257), (85, 64), (101, 30), (1, 5), (2, 3, 9), (16, 17, 33)])
def test_sizes_in_two_and_three_dimensions(kind, n):
    cycle = VCycle(1, 2, (kind,) * len(n), pre=(1, 1, 1, 1, 1), post=(0, 0, 0, 0, 0), residual=True)
    u = cycle(torch.randn(1, *n, 1))
    assert u.shape == (1, *n, 2)
    u.square().sum().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in cycle.parameters())


def test_kernels_start_as_torch_s():
    torch.manual_seed(0)
    weight = Stencil(30, 40, (ZERO, ZERO)).weight.detach()
    bound = torch.nn.Conv2d(30, 40, 3).weight.detach().abs().max()
    assert weight.abs().max() == pytest.approx(float(bound), rel=0.01)


@pytest.mark.parametrize(
    ("pre", "post"), [((), ()), ((0, 1), (1, 1)), ((1, 0), (1, 0)), ((1, 1), (1,)), ((2, -1), (0, 2))]
)
def test_sweeps_that_leave_something_unused(pre, post):
    with pytest.raises(InputError, match="wanted numbers of sweeps"):
        VCycle(1, 1, (ZERO,), pre=pre, post=post)


@pytest.mark.parametrize("taps", [2, (4,), (3, 4, 4)])
def test_prolongations_of_other_taps(taps):
    with pytest.raises(InputError, match="wanted 3 or 4 taps"):
        VCycle(1, 1, (ZERO,), pre=(1, 1, 1), post=(0, 0, 0), prolongation=taps)
