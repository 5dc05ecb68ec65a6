"""Fourier coefficients at scattered points."""

from itertools import product
from math import pi

import pytest
import torch

from pdeops.bases.tables import Fourier
from pdeops.nn import nonuniform
from pdeops.nn.nonuniform import analyse, frequencies, kept, synthesise
from pdeops.nn.spectral_conv import Transform

N, MODES = (16, 12), (6, 5)


def lattice():
    lines = [torch.arange(k, dtype=torch.float64) / k for k in N]
    return torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).flatten(0, 1).unsqueeze(0)


def test_on_a_lattice_both_are_the_transform():
    v, x = torch.randn(2, *N, 3, dtype=torch.float64), lattice()
    transform = Transform([Fourier(half=False), Fourier(half=True)])
    z = transform.analyse(v, kept(MODES))
    found = analyse(v.flatten(1, 2), x, x.new_full((x.shape[1],), 1 / x.shape[1]), MODES)
    torch.testing.assert_close(found, z, atol=1e-14, rtol=0)
    u = transform.synthesise(z, N, N, kept(MODES)).flatten(1, 2)
    torch.testing.assert_close(synthesise(z, x, MODES), u, atol=1e-13, rtol=0)


def test_values_of_waves_anywhere():
    """cos 2 pi (2 x - y) and 3 sin 2 pi (x + 2 y), from their coefficients."""
    f = frequencies(MODES, torch.zeros(1, dtype=torch.float64))
    z = torch.zeros(1, 2, f.shape[1], 1, dtype=torch.float64)
    z[0, 0, ((f[0] == -2) & (f[1] == 1)).nonzero()] = 0.5
    z[0, 1, ((f[0] == 1) & (f[1] == 2)).nonzero()] = -1.5
    x = torch.rand(1, 30, 2, dtype=torch.float64)
    wanted = (2 * pi * (2 * x[..., 0] - x[..., 1])).cos() + 3 * (2 * pi * (x[..., 0] + 2 * x[..., 1])).sin()
    found = synthesise(z.unflatten(2, kept(MODES)), x, MODES)
    torch.testing.assert_close(found.squeeze(-1), wanted, atol=1e-13, rtol=0)


@pytest.mark.parametrize("shared", [True, False])
def test_gradients_a_few_points_at_a_time(monkeypatch, shared):
    """First and second derivatives, also in the places, in tables of two or three points."""
    monkeypatch.setattr(nonuniform, "ENTRIES", 130)
    v, z = torch.randn(2, 7, 2, dtype=torch.float64), torch.randn(2, 2, 3, 3, 2, dtype=torch.float64)
    x, w = torch.rand(1 if shared else 2, 7, 2, dtype=torch.float64), torch.rand(2, 7, dtype=torch.float64)
    for tensor in (v, z, x):
        tensor.requires_grad_()
    for f, inputs in ((lambda v, x: analyse(v, x, w, (3, 4)), (v, x)), (lambda z, x: synthesise(z, x, (3, 4)), (z, x))):
        assert torch.autograd.gradcheck(f, inputs)
        assert torch.autograd.gradgradcheck(f, inputs)


def test_no_table_grows_with_the_points_and_none_is_kept(monkeypatch):
    sizes, table = [], nonuniform._table

    def watched(x, f):
        sizes.append(table(x, f).numel())
        return table(x, f)

    monkeypatch.setattr(nonuniform, "_table", watched)
    monkeypatch.setattr(nonuniform, "ENTRIES", 10_000)
    held = []

    def pack(tensor):
        held.append(tensor.numel())
        return tensor

    n, modes = 5_000, (12, 12)
    v, x = torch.randn(1, n, 2, requires_grad=True), torch.rand(1, n, 2, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        z = analyse(v, x, torch.full((n,), 1 / n), modes)
        u = synthesise(z, x, modes)
    u.sum().backward()
    assert max(sizes) <= 10_000
    assert sum(held) < 20 * n  # with the table: 168 n


@pytest.mark.parametrize("modes", [(5,), (6,), (4, 5), (5, 6), (3, 4, 5), (4, 3, 2)])
def test_both_are_sums_of_complex_exponentials(modes):
    lines = [range(-(k // 2), k - k // 2) for k in modes[:-1]] + [range(modes[-1] // 2 + 1)]
    f = torch.tensor(list(product(*lines)), dtype=torch.float64)
    v, x, w = (torch.randn(2, 9, k, dtype=torch.float64) for k in (3, len(modes), 1))
    waves = torch.exp(2j * pi * (x @ f.T))
    c = waves.conj().mT @ (w * v).to(waves)
    z = analyse(v, x, w.squeeze(-1), modes)
    torch.testing.assert_close(torch.view_as_complex(z.movedim(1, -1).contiguous()).flatten(1, -2), c)
    both = waves @ c + (waves[..., f[:, -1] > 0] @ c[:, f[:, -1] > 0]).conj()
    torch.testing.assert_close(synthesise(z, x, modes), both.real)
