"""An FNO on fields that are dealt over two and four processes has the values, losses, gradients and training steps of
one process."""

import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh

from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.losses.supervised import RelativeLp
from pdeops.models.fno import FNO
from pdeops.nn.distributed import share
from pdeops.spatial.fno import DistributedFNO
from pdeops.spatial.loss import DistributedRelativeL2
from pdeops.window import Batch, Window
from tests.ranks import on_ranks

WALLS = Grid([Axis("x", 14, nodes="uniform"), Axis("y", 9, nodes="cell")])
CASES = [  # grid, options: every part of the model; lattices that are dealt unevenly; padding along the axis that is
    (Grid.periodic((18, 10)), {"modes": (7, 6)}),
    (Grid.periodic((26,)), {"modes": 14, "norm": "group", "coordinates": False}),
    (Grid([Axis("x", 13, nodes="uniform")]), {"modes": 12, "padding": 0.3, "norm": "instance"}),
    (WALLS, {"modes": (7, 4), "basis": ("cosine", "fourier"), "padding": 0.4, "mlp_ratio": 0, "norm": "group"}),
    (Grid.periodic((10, 6, 8)), {"modes": (7, 3, 4), "recompute": True}),
]
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-12}


def whole(case, dtype, n=None):
    """A model of nothing but different numbers, and a batch."""
    grid, options = CASES[case]
    torch.manual_seed(case)
    model = FNO(2, 3, grid, grid, width=8, depth=2, **options).to(dtype)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    grid = grid if n is None else grid.resized((n, *grid.shape[1:]))
    a = torch.randn(4, 2, *grid.shape, dtype=dtype, requires_grad=True)
    return model, grid, a, torch.randn(4, 3, *grid.shape, dtype=dtype)


def difference(a, b, least=0.0):
    """least: of what it is relative to, where b is zero but for rounding (a bias before a norm has no gradient)."""
    return ((a - b).abs().max() / b.abs().max().clamp(min=least)).item()


def compared(case, mesh, dtype, n=None):
    model, grid, a, v = whole(case, dtype, n)
    part, own = DistributedFNO(model, mesh), share(grid[0].n, mesh)
    u = model(a)
    loss = RelativeLp(Window().on(grid, "uvw", "ab"))(u, Batch(a, v))
    loss.backward()
    mine = a.detach()[:, :, own].clone().requires_grad_()
    out = part(mine, n)
    found = DistributedRelativeL2(grid, mesh)(out, Batch(mine, v[:, :, own]))
    found.backward()
    part.reduce_gradients()
    pairs = [(out, u[:, :, own]), (found, loss), (mine.grad, a.grad[:, :, own])]
    largest = max(p.grad.abs().max() for p in model.parameters())
    for name, p in part.part.named_parameters():
        g = model.get_parameter(name).grad
        if name.endswith("spectral.weight.tensor"):
            g = g[share(len(g), mesh)]
        pairs.append((p.grad, g, 0.1 * largest))
    again = part.whole().state_dict()
    assert all(torch.equal(again[k], v) for k, v in model.state_dict().items())
    return max(difference(*pair) for pair in pairs)


def all_cases(world):
    mesh = init_device_mesh("cpu", (world,))
    found = {(case, d): compared(case, mesh, d) for case in range(len(CASES)) for d in BOUNDS}
    return found | {("finer", d): compared(0, mesh, d, 22) for d in BOUNDS}


@pytest.mark.parametrize("world", [2, 4])
def test_processes_together_are_one(world):
    for found in on_ranks(world, all_cases, world):
        for (case, dtype), largest in found.items():
            assert largest < BOUNDS[dtype], (case, dtype, largest)


def trained(dtype):
    """Two by two processes: halves of the samples, halves of the fields."""
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("samples", "space"))
    one, grid, a, v = whole(3, dtype)
    model, own = DistributedFNO(one, mesh["space"]), share(grid[0].n, mesh["space"])
    loss, some = DistributedRelativeL2(grid, mesh["space"]), slice(mesh.get_local_rank("samples"), None, 2)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2, eps=1e-2)  # not the gradients' signs alone
    for _ in range(3):
        optimizer.zero_grad()
        batch = Batch(a.detach()[some, :, own], v[some, :, own])
        loss(model(batch.a), batch).backward()
        model.reduce_gradients(mesh["samples"])
        optimizer.step()
    return model.whole().state_dict()


def test_samples_and_space_dealt_train_as_one_process():
    dtype = torch.float64
    one, grid, a, v = whole(3, dtype)
    loss, optimizer = RelativeLp(Window().on(grid, "uvw", "ab")), torch.optim.Adam(one.parameters(), 1e-2, eps=1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        loss(one(a.detach()), Batch(a, v)).backward()
        optimizer.step()
    for state in on_ranks(4, trained, dtype):
        for name, p in one.state_dict().items():
            torch.testing.assert_close(state[name], p, rtol=0, atol=1e-12, msg=name)


def refusals():
    mesh = init_device_mesh("cpu", (2,))
    grid = Grid.periodic((18, 10))
    part = DistributedFNO(FNO(2, 3, grid, grid, width=8, modes=6, depth=1), mesh)
    with pytest.raises(InputError, match=r"an input of 18 nodes along 'x'; of 18 this process, number [01] of 2, has"):
        part(torch.randn(1, 2, 18, 10))
    with pytest.raises(InputError, match="FNO got an input of shape"):
        part(torch.randn(1, 3, 9, 10))
    with pytest.raises(
        InputError, match=r"answers on the lattice of its input; this one maps \(18, 10\) nodes to \(9,"
    ):
        DistributedFNO(FNO(2, 3, grid, grid.resized((9, 10)), modes=6), mesh)
    with pytest.raises(InputError, match="take more modes, or fewer processes"):
        DistributedFNO(FNO(2, 3, grid, grid, modes=(1, 6)), mesh)
    with pytest.raises(InputError, match="dense weights"):
        DistributedFNO(FNO(2, 3, grid, grid, modes=6, weights="separable"), mesh)
    with pytest.raises(InputError, match="1 entries, 1 for each of 2 processes, leave one without any"):
        share(1, mesh)


def test_what_cannot_be_dealt_is_refused():
    on_ranks(2, refusals)
