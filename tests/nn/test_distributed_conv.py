"""A field dealt over two and four processes has the convolution, and its weights the gradient, of one process."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh

from pdeops.bases.tables import bases
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.distributed import share
from pdeops.nn.distributed_conv import DistributedSpectralConv
from pdeops.nn.spectral_conv import SpectralConv
from tests.ranks import on_ranks

CASES = [  # grid, modes, bases: both roles of a Fourier axis that is dealt, real axes, lattices that are dealt unevenly
    (Grid.periodic((26,)), (14,), ["fourier"]),
    (Grid.periodic((18, 10)), (7, 6), ["fourier", "fourier"]),
    (Grid([Axis("x", 13, nodes="uniform"), Axis("y", 8)]), (7, 4), ["cosine", "fourier"]),
    (Grid([Axis("x", 12, nodes="cell"), Axis("y", 9, nodes="cell")]), (7, 4), ["cosine", "sine"]),
    (Grid.periodic((10, 6, 8)), (7, 3, 4), ["fourier"] * 3),
]


def whole(case, dtype):
    grid, modes, names = CASES[case]
    torch.manual_seed(case)
    conv = SpectralConv(3, 2, modes, bases=bases(grid, names)).to(dtype)
    v = torch.randn(2, *grid.shape, 3, dtype=dtype, requires_grad=True)
    w = torch.randn(2, *grid.shape, 2, dtype=dtype)  # of a sum over all nodes that tells them apart
    return conv, v, w


def compared(case, mesh, dtype):
    """The largest differences of values, gradients of the fields and gradients of the weights, relative."""
    conv, v, w = whole(case, dtype)
    onto = torch.randn_like(w).requires_grad_()
    y = conv(v, v.shape[1:-1], onto)
    (y * w).sum().backward()
    part = DistributedSpectralConv(conv, mesh)
    n = v.shape[1]
    own = share(n, mesh)
    assert torch.equal(torch.arange(n)[own], torch.arange(n).chunk(mesh.size())[mesh.get_local_rank()])
    mine, added = (x.detach()[:, own].clone().requires_grad_() for x in (v, onto))
    out = part(mine, own, n, added)
    (out * w[:, own]).sum().backward()
    pairs = [(out, y[:, own]), (mine.grad, v.grad[:, own]), (added.grad, onto.grad[:, own])]
    pairs.append((part.weight.tensor.grad, conv.weight.tensor.grad[part.modes]))
    pairs.append((part(mine, own, n), conv(v, v.shape[1:-1])[:, own]))
    pairs.append((part.whole_weight(), conv.weight.tensor))
    return [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]


def refusals(mesh):
    conv, v, _ = whole(1, torch.float32)
    part = DistributedSpectralConv(conv, mesh)
    with pytest.raises(InputError, match="a share of 18 nodes, which should be 0 to 8 of 18"):
        part(v, slice(0, 9), 18)
    with pytest.raises(InputError, match="nodes do not hold"):
        part(v[:, :2], slice(0, 2), 4)
    with pytest.raises(InputError, match="dense weights"):
        DistributedSpectralConv(SpectralConv(2, 2, (7, 6), weights="separable"), mesh)
    with pytest.raises(InputError, match=r"modes along the first axis: 1 entries, .* leave one without any; take more"):
        DistributedSpectralConv(SpectralConv(2, 2, (1, 6)), mesh)


def all_cases(world):
    mesh = init_device_mesh("cpu", (world,))
    if world == 2:
        refusals(mesh)
    return {
        (case, str(d)): compared(case, mesh, d) for case in range(len(CASES)) for d in (torch.float32, torch.float64)
    }


@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_are_one(world):
    for found in on_ranks(world, all_cases, world):
        for (case, dtype), differences in found.items():
            assert max(differences) < (1e-5 if dtype == "torch.float32" else 1e-12), (case, dtype, differences)
