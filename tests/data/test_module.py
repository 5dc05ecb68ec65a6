"""Loaders: splits, processes, caches, augmentation, and what is refused."""

from types import SimpleNamespace

import h5py
import lightning as L
import numpy as np
import pytest
import torch

from pdeops.data.module import DataModule, Generated
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.problems.darcy import Darcy
from pdeops.problems.poisson import Poisson
from pdeops.problems.processes import GaussianProcess
from pdeops.problems.spectral_poisson import SpectralPoisson
from pdeops.window import Window


def ranked(module, rank, world, training=True):
    module.trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world,
        training=training,
        fit_loop=SimpleNamespace(total_batch_idx=-1),  # of the batch before
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    module.open()
    return module


def make(trajectories, **options):
    return DataModule(file=trajectories, window=Window(n_in=2), batch_size=4, **options)


def first_values(loader):
    return [value for batch in loader for value in batch.a[:, 0, 0, 0].tolist()]


def test_ranks_share_each_global_batch(trajectories):
    whole = ranked(make(trajectories), 0, 1).train_dataloader()
    parts = [ranked(make(trajectories), rank, 2).train_dataloader() for rank in range(2)]
    for one, a, b in zip(whole, *parts, strict=True):
        assert sorted(one.a.flatten(1).sum(1).tolist()) == sorted(torch.cat([a.a, b.a]).flatten(1).sum(1).tolist())


def test_evaluation_takes_every_sample_once(trajectories):
    whole = first_values(ranked(make(trajectories), 0, 1).test_dataloader()[0])
    halves = [first_values(ranked(make(trajectories), rank, 2).test_dataloader()[0]) for rank in range(2)]
    assert sorted(whole) == sorted(halves[0] + halves[1])
    assert len(whole) == 2 * 4


@pytest.mark.parametrize("options", [{"cache": "none"}, {"cache": "none", "workers": 1}, {"cache": "memory"}])
def test_caches_hold_the_same(trajectories, options):
    loaders = [ranked(make(trajectories, **o), 0, 1).val_dataloader()[0] for o in ({}, options)]
    for a, b in zip(*loaders, strict=True):
        assert torch.equal(a.a, b.a)
        assert torch.equal(a.u, b.u)


def test_transposition_swaps_inputs_and_targets_together(tmp_path):
    a = np.random.default_rng(0).standard_normal((20, 6, 6))
    grid = Grid((Axis("x", 6, nodes="left"), Axis("y", 6, nodes="left")))
    path = write_arrays(tmp_path / "x.h5", grid, inputs={"a": a}, targets={"u": 2 * a})
    module = ranked(DataModule(file=path, augment_transpose=True, batch_size=16), 0, 1)
    batch = next(iter(module.train_dataloader()))
    swapped = module.on_after_batch_transfer(batch, 0)
    torch.testing.assert_close(swapped.u, 2 * swapped.a)
    same = [torch.equal(x, y) for x, y in zip(swapped.a, batch.a, strict=True)]
    turned = [torch.equal(x, y.mT) for x, y in zip(swapped.a, batch.a, strict=True)]
    assert all(s or t for s, t in zip(same, turned, strict=True))
    assert 0 < sum(turned) < 16
    module.trainer.training = False
    assert module.on_after_batch_transfer(batch, 0) is batch


@pytest.mark.parametrize(
    "problem",
    [
        SpectralPoisson(n=12),
        SpectralPoisson(n=12, nodes="chebyshev", source=GaussianProcess(), boundary=GaussianProcess()),
        Poisson(n=9),
        Poisson(n=9, sides="neumann"),
        Darcy(n=9),
    ],
    ids=lambda p: f"{p.name}_{len(p.in_names)}_{p.grid[0].bc}",
)
def test_problems_that_call_themselves_symmetric_are(problem, tmp_path):
    a = problem.sample([0, 1], 0)
    torch.testing.assert_close(problem.solve(a.mT).u, problem.solve(a).u.mT, rtol=1e-9, atol=1e-9)
    assert problem.symmetric
    Generated(problem=problem, n=4, split=[0.5, 0.5, 0], dir=str(tmp_path), augment_transpose=True).open()


def test_sides_of_other_conditions_are_no_symmetry(tmp_path):
    sides = {"x": [[1.0, 0.0], [0.0, 1.0]], "y": [[0.0, 1.0], [1.0, 0.0]]}
    problem = SpectralPoisson(n=12, nodes="chebyshev", source=GaussianProcess(), conditions=sides)
    a = problem.sample([0], 0)
    assert not torch.allclose(problem.solve(a.mT).u, problem.solve(a).u.mT, atol=1e-3)
    with pytest.raises(InputError, match="spectral_poisson is not symmetric under x <-> y"):
        Generated(problem=problem, n=4, split=[0.5, 0.5, 0], dir=str(tmp_path), augment_transpose=True).open()


def lattices(module, batch, count):
    """Sizes and values of the same batch as the module gives it, as the first, second ... of a run."""
    found = []
    for step in range(count):
        module.trainer.fit_loop.total_batch_idx = step - 1
        found.append(module.on_after_batch_transfer(batch, 0))
    return found


@pytest.mark.parametrize("history", ["channel", "time"])
def test_batches_stand_on_every_so_many_nodes_in_space(trajectories, history):
    window = Window(n_in=2, n_out=3, history=history)
    module = ranked(DataModule(file=trajectories, window=window, batch_size=4, strides=[1, 2, 4]), 0, 1)
    batch = next(iter(module.train_dataloader()))
    seen = set()
    for given in lattices(module, batch, 30):
        s = 8 // given.a.shape[-1]
        seen.add(s)
        assert torch.equal(given.a, batch.a[..., ::s, ::s])
        assert torch.equal(given.u, batch.u[..., ::s, ::s])
        assert given.a.shape[:-2] == batch.a.shape[:-2]  # frames stay
    assert seen == {1, 2, 4}


def test_strides_are_drawn_uniformly_alike_on_all_processes_and_by_the_seed(trajectories):
    def drawn(rank=0, first=0, **options):
        module = ranked(make(trajectories, strides=[1, 2], **options), rank, 2)
        batch = next(iter(module.train_dataloader()))
        torch.manual_seed(rank)  # what a process draws by itself has no say
        return [x.a.shape[-1] for x in lattices(module, batch, 200)]

    sizes = drawn()
    assert 70 < sizes.count(4) < 130
    assert drawn(rank=1) == sizes
    assert drawn(shuffle_seed=1) != sizes


class Recorder(L.LightningModule):
    """Trains nothing, and notes the sizes of the batches it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.sizes = []

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def training_step(self, batch, _):
        self.sizes.append(batch.a.shape[-1])
        return self.weight * batch.a.mean()

    def validation_step(self, batch, _):
        assert batch.a.shape[-1] == 8


@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_trainer_draws_anew_in_every_epoch_and_goes_on_where_it_stopped(trajectories, tmp_path, accumulated):
    plain = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path}

    def run(epochs, ckpt=None):
        recorder = Recorder()
        trainer = L.Trainer(max_epochs=epochs, accumulate_grad_batches=accumulated, **plain)
        trainer.fit(recorder, make(trajectories, strides=[1, 2]), ckpt_path=ckpt)
        trainer.save_checkpoint(tmp_path / "stopped.ckpt")
        return recorder.sizes

    whole = run(3)
    rounds = [whole[i * len(whole) // 3 : (i + 1) * len(whole) // 3] for i in range(3)]
    assert len({tuple(part) for part in rounds}) > 1
    assert run(1) + run(3, tmp_path / "stopped.ckpt") == whole


def test_validation_and_tests_see_all_nodes(trajectories):
    module = ranked(make(trajectories, strides=[2]), 0, 1, training=False)
    for loader in module.val_dataloader() + module.test_dataloader():
        batch = next(iter(loader))
        assert module.on_after_batch_transfer(batch, 0) is batch
    module.trainer.training = True
    assert module.on_after_batch_transfer(batch, 0).a.shape[-2:] == (4, 4)


def test_strides_without_a_lattice_are_refused(trajectories, steady, problem):
    message = r"data\.strides=\[1, 3\]: axis 'x', 8 periodic nodes: a stride of 3 .*: 1, 2, 4$"
    with pytest.raises(InputError, match=message):
        make(trajectories, strides=[1, 3]).open()
    with pytest.raises(InputError, match=message):  # before there are data
        Generated(n=4, problem=problem, strides=[1, 3]).bind()
    with pytest.raises(InputError, match=r"axis 'x', 6 cell nodes: a stride of 2 .*: 1$"):
        DataModule(file=steady, strides=[2]).open()
    for bad in ([], [0], [1.5], [True], 2, "12", None):
        with pytest.raises(InputError, match=r"data\.strides=.* wanted a list of whole numbers >= 1"):
            make(trajectories, strides=bad)


def test_statistics_follow_the_channels(trajectories):
    module = make(trajectories)
    stats = module.open().stats["vorticity"]
    mean_in, std_in, mean_out, std_out = module.channel_stats()
    assert std_in.tolist() == [stats["std"]] * 2
    assert (mean_in[0], mean_out[0], std_out[0]) == (stats["mean"], stats["mean"], stats["std"])


def test_training_outputs_are_the_targets_of_the_training_split(trajectories, steady):
    module = make(trajectories)
    with h5py.File(trajectories) as f:
        frames = torch.from_numpy(f["t0_fields/vorticity"][:6]).float()
    assert torch.equal(module.training_outputs(), frames[:, 2:].flatten(0, 1).unsqueeze(1))
    spread = make(trajectories, windows=2).training_outputs()
    assert torch.equal(spread, frames[:, [2, -1]].flatten(0, 1).unsqueeze(1))
    fixed = DataModule(file=steady)
    assert torch.equal(fixed.training_outputs(), fixed.fields("train").targets(range(16)))


def test_mistakes_are_refused(trajectories, steady):
    with pytest.raises(InputError, match="make it a multiple"):
        ranked(make(trajectories), 0, 3).train_dataloader()
    with pytest.raises(InputError, match="test split has 2 samples, fewer than the 4 processes"):
        ranked(make(trajectories), 0, 4).test_dataloader()
    with pytest.raises(InputError, match="batch_size=0"):
        DataModule(file=trajectories, batch_size=0)
    with pytest.raises(InputError, match="must be alike"):
        DataModule(file=steady, augment_transpose=True).open()
    with pytest.raises(InputError, match=r"set data\.file="):
        DataModule().open()
    with pytest.raises(InputError, match="problem=null"):
        Generated(n=4).open()
