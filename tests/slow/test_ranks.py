"""Two processes on halves of a batch take the gradients of one process on all of it: every model, `trainer=ddp` and
`fsdp`, in double precision."""

import os
import socket
import traceback
from functools import partial

import lightning as L
import pytest
import torch
import torch.multiprocessing as mp
from torch.utils.data import DataLoader

from pdeops.grid import Axis, Grid
from pdeops.losses.supervised import MeanSquare
from pdeops.nn.normalizer import Normalizer
from pdeops.surrogate import Surrogate
from pdeops.tasks.fit import Fit
from pdeops.tasks.sharding import Sharded
from pdeops.window import Batch, Window
from tests.models.test_contract import FRAMES, NAMES, build, out_shape, randn

pytestmark = pytest.mark.slow
WORLD, BATCH, STEPS = 2, 4, 2
STRATEGIES = {"ddp": lambda: "ddp", "fsdp": Sharded}


class Gradients(L.Callback):
    """Of every parameter by its name, whole; and the share of all of them that this process holds."""

    def __init__(self):
        self.found = {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        held = total = 0
        for name, p in pl_module.named_parameters():
            assert p.grad is not None, f"{name} is not used"
            grad = p.grad.full_tensor() if hasattr(p.grad, "full_tensor") else p.grad
            held += (p.to_local() if hasattr(p, "to_local") else p).numel()
            total += p.numel()
            self.found[name] = grad.clone()
        self.share = held / total


def step(name, rank, world, **options):
    grid = Grid.periodic((16, 16))
    window = Window().on(grid, "uv", "abc")
    if name in FRAMES:
        window = Window(*FRAMES[name], history="time").on(Grid([Axis("time", 9, nodes="left"), *grid]), "uv", "a")
    model = build(name, grid)
    three, two = (Normalizer(torch.zeros(n), torch.ones(n)) for n in (3, 2))
    for p in model.parameters():  # neuraloperator's
        if p.is_complex():
            p.data = p.data.to(torch.complex128)
    torch.manual_seed(2)
    with torch.no_grad():  # zero biases on zero coefficients are a kink of ReLU, where round-off takes a side
        for p in model.parameters():
            p.add_(torch.randn_like(p), alpha=1e-2)
    optimizer = partial(torch.optim.SGD, lr=1e-3)
    task = Fit(Surrogate(model, window, three, two).double(), MeanSquare(window), optimizer=optimizer)
    torch.manual_seed(1)
    a = randn(name, STEPS * BATCH, 16, 16).double()
    u = torch.randn(STEPS * BATCH, *out_shape(name, 16, 16)).double()
    batches = [Batch(x[rank::world], y[rank::world]) for x, y in zip(a.split(BATCH), u.split(BATCH), strict=True)]
    gradients = Gradients()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[gradients], use_distributed_sampler=False, **quiet, **options
    )
    trainer.fit(task, DataLoader(batches, batch_size=None, generator=torch.Generator()))
    return gradients


def worker(rank, port, path):
    torch.set_num_threads(1)
    ports = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "0"}  # as torchrun does
    os.environ |= ports | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    found = {}
    for kind, strategy in STRATEGIES.items():
        for name in NAMES:
            try:
                gradients = step(name, rank, WORLD, strategy=strategy(), devices=WORLD)
                found[kind, name] = gradients.found, gradients.share
            except Exception:
                found[kind, name] = traceback.format_exc(), 0.0
    if rank == 0:
        torch.save(found, path)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What two processes found of all models."""
    path = tmp_path_factory.mktemp("ranks") / "found.pt"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(worker, (port, path), nprocs=WORLD)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", STRATEGIES)
def test_gradients_are_those_of_one_process(found, kind, name):
    two, share = found[kind, name]
    if kind == "fsdp" and name.startswith("neuralop"):
        assert "has complex parameters; take trainer=ddp" in two
        return
    assert isinstance(two, dict), two
    one = step(name, 0, 1, devices=1).found
    assert two.keys() == one.keys()
    whole = torch.cat([g.flatten().abs() for g in one.values()]).max()
    for key, g in one.items():
        assert (two[key] - g).abs().max() <= 1e-6 * max(g.abs().max(), 1e-6 * whole), key
    assert share == 1 if kind == "ddp" else share < 0.7
