"""Two processes on halves of a batch take the gradients and steps that one process takes on all of it."""

import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from pdeops.grid import Grid
from pdeops.models.fno import FNO

pytestmark = pytest.mark.slow
WORLD = 2


def problem():
    torch.manual_seed(0)
    grid = Grid.periodic((12, 16))
    return FNO(2, 1, grid, grid, width=4, modes=(4, 6), depth=2), torch.randn(2 * WORLD, 2, 12, 16)


def step(model, a):
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    model(a).square().mean().backward()
    gradients = [whole(p.grad) for p in model.parameters()]
    optimizer.step()
    return gradients, [whole(p) for p in model.parameters()]


def whole(t):
    return (t.full_tensor() if hasattr(t, "full_tensor") else t).detach().clone()


def ddp(model):
    return DistributedDataParallel(model)


def fsdp(model):
    mesh = dist.init_device_mesh("cpu", (WORLD,))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def worker(rank, wrap, port, path):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=WORLD)
    model, a = problem()
    model = wrap(model)
    held = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in model.parameters())
    gradients, parameters = step(model, a.chunk(WORLD)[rank])
    if rank == 0:
        torch.save({"gradients": gradients, "parameters": parameters, "held": held}, path)
    dist.destroy_process_group()


@pytest.mark.parametrize(("wrap", "share"), [(ddp, 1.0), (fsdp, 0.6)], ids=["DDP", "FSDP"])
def test_two_processes_equal_one(wrap, share, tmp_path):
    """share: the part of the parameters that one process may hold between steps."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(worker, (wrap, port, tmp_path / "out.pt"), nprocs=WORLD)
    found = torch.load(tmp_path / "out.pt", weights_only=True)
    model, a = problem()
    assert found["held"] <= share * sum(p.numel() for p in model.parameters())
    for ours, one in zip((found["gradients"], found["parameters"]), step(model, a), strict=True):
        for p, q in zip(ours, one, strict=True):
            assert (p - q).norm() <= 1e-5 * q.norm()
