"""Training batches of evolutions: noise on the history, and outputs in a row."""

import numpy as np
import pytest
import torch

from pdeops.data.module import DataModule
from pdeops.data.schema import write_arrays
from pdeops.errors import InputError
from pdeops.grid import Axis, Grid
from pdeops.window import Window
from tests.data.test_module import ranked

T, N, NOISE = 9, 12, 0.1


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Two targets of different deviations, and an input that stays as it is."""
    path = tmp_path_factory.mktemp("frames") / "frames.h5"
    grid = Grid((Axis("time", T, 8.0, "uniform"), Axis("x", N)))
    draw = np.random.default_rng(0).standard_normal
    targets = {"u": 3 * draw((20, T, N)), "v": 0.1 * draw((20, T, N))}
    write_arrays(path, grid, inputs={"c": draw((20, N))}, targets=targets)
    return path


def batch_of(file, step=0, rank=0, world=1, history="channel", n_out=1, **options):
    window = Window(n_in=2, n_out=n_out, history=history)
    module = ranked(DataModule(file=file, window=window, batch_size=16, **options), rank, world)
    module.trainer.fit_loop.total_batch_idx = step - 1
    batch = next(iter(module.train_dataloader()))
    return module, batch, module.on_after_batch_transfer(batch, 0)


@pytest.mark.parametrize("history", ["channel", "time"])
def test_noise_is_of_every_state_in_its_deviation(file, history):
    errors = []
    for step in range(20):
        module, batch, given = batch_of(file, step, history=history, noise=NOISE)
        assert torch.equal(given.u, batch.u)
        assert torch.equal(module.window.static(given.a), module.window.static(batch.a))
        errors.append(module.window.history_frames(given.a) - module.window.history_frames(batch.a))
    stats = module.open().stats
    errors = torch.cat(errors) / torch.tensor([stats[n]["std"] for n in "uv"]).view(-1, 1, 1)  # (B, 2, 2, N)
    torch.testing.assert_close(errors.std(0), torch.full((2, 2, N), NOISE), rtol=0.2, atol=0)
    flat = torch.corrcoef(errors.flatten(1).T).fill_diagonal_(0)
    assert flat.abs().max() < 0.3  # frames, nodes and channels apart
    assert errors.mean().abs() < 0.002


def test_noise_is_that_of_the_batch_and_shared_by_processes(file):
    given = batch_of(file, 3, noise=NOISE)[2]
    assert torch.equal(given.a, batch_of(file, 3, noise=NOISE)[2].a)
    assert not torch.equal(given.a, batch_of(file, 4, noise=NOISE)[2].a)
    rows = [batch_of(file, 3, rank, 2, noise=NOISE)[2].a for rank in (0, 1)]
    assert torch.equal(torch.stack(rows, 1).flatten(0, 1), given.a)


@pytest.mark.parametrize("history", ["channel", "time"])
def test_a_training_batch_holds_outputs_in_a_row_and_others_one(file, history):
    module, batch, _ = batch_of(file, history=history, n_out=2, ahead=3)
    window = module.window
    assert window.unstack(batch.u).shape == (16, 2, 6, N)
    assert batch.a.shape[1:] == (window.in_channels, *window.grid_in.shape)
    assert len(module.train_dataloader().dataset) == 16 * (T - 2 - 6 + 1)
    assert window.unstack(next(iter(module.val_dataloader()[0])).u).shape[2] == 2
    row = module.open().read_target(0, slice(None))
    first = module.train_dataloader().dataset[0].u.unsqueeze(0)
    torch.testing.assert_close(window.unstack(first)[0], torch.from_numpy(row[:, 2:8]).float())


def test_too_many_outputs_in_a_row_are_refused(file):
    with pytest.raises(InputError, match=r"task.rollout=4 outputs in a row: data.window: n_in=2 and n_out=8"):
        batch_of(file, n_out=2, ahead=4)
    with pytest.raises(InputError, match=r"task.rollout=2 outputs in a row are for frames on their grid"):
        batch_of(file, ahead=2, queries=3)
