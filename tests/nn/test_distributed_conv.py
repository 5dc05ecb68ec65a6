"""A field dealt over two and four processes has the convolution, and its weights the gradient, of one process."""

import os
import socket
import traceback

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.device_mesh import init_device_mesh

from pdeops.bases.tables import bases
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.nn.distributed_conv import DistributedSpectralConv
from pdeops.nn.spectral_conv import SpectralConv

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
    """The largest differences of values, gradients of the field and gradients of the weights, relative."""
    conv, v, w = whole(case, dtype)
    y = conv(v, v.shape[1:-1])
    (y * w).sum().backward()
    part = DistributedSpectralConv(conv, mesh)
    n = v.shape[1]
    own = list(torch.arange(n).chunk(mesh.size()))[mesh.get_local_rank()]
    mine = v.detach()[:, own].clone().requires_grad_()
    out = part(mine, n)
    (out * w[:, own]).sum().backward()
    pairs = [(out, y[:, own]), (mine.grad, v.grad[:, own])]
    pairs.append((part.weight.tensor.grad, conv.weight.tensor.grad[part.modes]))
    return [float((a - b).abs().max() / b.abs().max()) for a, b in pairs]


def refusals(mesh):
    conv, v, _ = whole(1, torch.float32)
    part = DistributedSpectralConv(conv, mesh)
    with pytest.raises(InputError, match="a share of 18 of 18 nodes; this process, one of 2"):
        part(v, 18)
    with pytest.raises(InputError, match="nodes do not hold"):
        part(v[:, :2], 4)
    with pytest.raises(InputError, match="dense weights"):
        DistributedSpectralConv(SpectralConv(2, 2, (7, 6), weights="separable"), mesh)
    with pytest.raises(InputError, match=r"1 coefficients along the first axis, .* leave one without any"):
        DistributedSpectralConv(SpectralConv(2, 2, (1, 6)), mesh)


def process(rank, world, port, queue):
    try:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(world))
        torch.set_num_threads(1)
        dist.init_process_group("gloo", rank=rank, world_size=world)
        mesh = init_device_mesh("cpu", (world,))
        found = {
            (case, str(d)): compared(case, mesh, d)
            for case in range(len(CASES))
            for d in (torch.float32, torch.float64)
        }
        if world == 2:
            refusals(mesh)
        queue.put(found)
        dist.destroy_process_group()
    except BaseException:
        queue.put(traceback.format_exc())


@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_are_one(world):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = mp.get_context("spawn")
    queue = context.Queue()
    ranks = [context.Process(target=process, args=(r, world, port, queue), daemon=True) for r in range(world)]
    for rank in ranks:
        rank.start()
    for _ in ranks:
        found = queue.get(timeout=120)
        assert not isinstance(found, str), found
        for (case, dtype), differences in found.items():
            assert max(differences) < (1e-5 if dtype == "torch.float32" else 1e-12), (case, dtype, differences)
    for rank in ranks:
        rank.join(30)
