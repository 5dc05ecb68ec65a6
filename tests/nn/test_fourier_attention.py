"""Attention in coefficients against attention of fields at nodes."""

import pytest
import torch

from pdeops.grid import Axis, Grid
from pdeops.nn.fourier_attention import FourierAttention, hermitian
from pdeops.nn.patches import Patches, cubics


def dense(layer, v, lattice, patches):
    """Q u, K u and V u as fields at nodes, the score by their mean, exact for waves (trapezoids, midpoints), the mean
    of the values' fields. Coefficients of u are integrals of the cubics through its nodes."""
    each, heads, d = v.shape[-1] // layer.heads, layer.heads, lattice.ndim
    sizes, last = patches.sizes(lattice), d - 1
    x = patches.places(lattice, v)[0] * torch.tensor(patches.counts)  # in the first patch, [0, 1]^d
    tops = patches.tops
    lines = [torch.arange(-t, t + 1) if i != last else torch.arange(t + 1) for i, t in enumerate(tops)]
    f = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).double().flatten(0, -2)
    waves = torch.exp(2j * torch.pi * torch.einsum("nd,fd->nf", x.flatten(0, -2).double(), f)).to(torch.complex128)
    w = torch.ones((), dtype=torch.float64)
    for axis, size in zip(lattice, sizes, strict=True):
        line = torch.ones(size, dtype=torch.float64)
        if axis.nodes != "cell":
            line[[0, -1]] = 0.5
        w = w.unsqueeze(-1) * line / line.sum()
    w = w.flatten()
    twice = torch.where(f[:, -1] > 0, 2.0, 1.0).double()
    r = torch.complex(*layer.weight.double().unbind(-2)).flatten(0, d - 1).flatten(2)
    z = layer.norm(v).to(torch.complex128)
    for i, (axis, size) in enumerate(zip(lattice, sizes, strict=True)):
        t, integrals = cubics(size, axis.nodes != "cell")
        analysis = torch.exp(-2j * torch.pi * torch.outer(lines[i], t)) @ integrals.to(z)
        z = torch.tensordot(analysis, z, ([1], [2 + i])).movedim(0, 2 + i)
    z = z.flatten(2, -2)
    y = torch.einsum("f,nf,fcy,bpfc->bpny", twice.to(waves.dtype), waves, r, z).real
    q, k, values = y.unflatten(-1, (3, heads, each)).unbind(3)
    score = torch.einsum("bpnhd,bqnhd,n->bhpq", q, k, w) / each**0.5
    score = score * layer.temperature.double().exp().view(-1, 1, 1)
    mean = torch.einsum("bhpq,bqnhd->bpnhd", score.softmax(-1), values).flatten(-2)
    return v + (mean @ layer.out.weight.double().T).unflatten(2, sizes)


@pytest.mark.parametrize("nodes", ["cell", "uniform", "periodic"])
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_equals_attention_of_fields_at_nodes(nodes, d, dtype, error):
    """Also where the modes just fit a patch, of five intervals."""
    counts = (2, 3, 1)[:d]
    sizes = [5 * count + (nodes == "uniform") for count in counts]
    grid = Grid(Axis(name, size, nodes=nodes) for name, size in zip("xyz", sizes, strict=False))
    patches = Patches(grid, counts, 5)
    torch.manual_seed(0)
    layer = FourierAttention(8, 2, patches.bases(), patches.frequencies()).to(dtype)
    with torch.no_grad():
        layer.temperature.copy_(torch.tensor([1.0, 2.0]))
    v = patches.cut(torch.randn(2, *grid.shape, 8, dtype=dtype), grid)
    found, wanted = layer(v), dense(layer, v, grid, patches)
    assert (wanted - v).norm() > 0.1 * v.norm()
    torch.testing.assert_close(found.double(), wanted, atol=error, rtol=0)


def test_real_fields_go_to_real_ones():
    given = torch.randn(5, 3, 4, 3, 2, 2, 6)  # modes, channels, (query, key, value), heads, parts, channels
    w = hermitian(given)
    assert torch.equal(w[:, 1:], given[:, 1:])
    plane = torch.complex(*w[:, 0].unbind(-2))
    torch.testing.assert_close(plane, plane.flip(0).conj())
    torch.testing.assert_close(hermitian(w), w)
    line = hermitian(given[0])
    assert line[0, ..., 1, :].count_nonzero() == 0
    assert torch.equal(line[1:], given[0, 1:])
