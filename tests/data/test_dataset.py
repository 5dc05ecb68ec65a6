"""The same samples from the file, from memory, one by one and in batches."""

import numpy as np
import pytest
import torch

from pdeops.data.dataset import Fields, Trajectories, Windows
from pdeops.data.file import DataFile
from pdeops.window import Window


@pytest.fixture(params=["file", "memory"])
def fields(request, trajectories):
    file = DataFile(trajectories)
    fields = Fields(file, file.split["train"])
    return fields.hold("cpu") if request.param == "memory" else fields


def bound(fields, **options):
    file = fields.file
    return Window(**options).on(file.spec.grid, file.targets, file.inputs)


@pytest.mark.parametrize("history", ["channel", "time"])
def test_windows(fields, history):
    window = bound(fields, n_in=2, n_out=1, stride=2, history=history)
    dataset = Windows(fields, window)
    assert len(dataset) == 6 * 2  # frames 0 2 4 and 1 3 5 of six trajectories
    w = torch.from_numpy(fields.file.handle["t0_fields/vorticity"][:])
    batch = dataset.__getitems__([0, 3, 11])
    for row, (sample, start) in enumerate([(0, 0), (1, 1), (5, 1)]):
        a, u = (w[sample, [start, start + 2]], w[sample, [start + 4]])
        torch.testing.assert_close(batch.a[row].flatten(0, -3), a)
        torch.testing.assert_close(batch.u[row].flatten(0, -3), u)
    torch.testing.assert_close(dataset[3].a, batch.a[1])
    assert batch.a.shape == (3, *((2,) if history == "channel" else (1, 2)), 8, 8)


def test_only_its_own_split(trajectories):
    file = DataFile(trajectories)
    w = file.handle["t0_fields/vorticity"][:]
    for split, first in (("train", 0), ("validation", 6), ("test", 8)):
        fields = Fields(file, file.split[split])
        dataset = Windows(fields, bound(fields))
        np.testing.assert_array_equal(dataset[0].a[0].numpy(), w[first, 0])
        assert len(dataset) == 5 * len(file.split[split])


def test_trajectories(fields):
    window = bound(fields, n_in=2, stride=2)
    batch = Trajectories(fields, window).__getitems__([4, 2])
    w = torch.from_numpy(fields.file.handle["t0_fields/vorticity"][:])
    torch.testing.assert_close(batch.a, w[[4, 2]][:, [0, 2]])
    torch.testing.assert_close(batch.u, w[[4, 2]][:, None, [4]])


def test_steady(steady):
    file = DataFile(steady)
    window = Window().on(file.spec.grid, file.targets, file.inputs)
    for fields in (Fields(file, file.split["test"]), Fields(file, file.split["test"]).hold("cpu")):
        batch = Windows(fields, window).__getitems__([1, 0])
        assert batch.a.shape == (2, 2, 6, 5)
        torch.testing.assert_close(batch.u[0, 1], torch.from_numpy(file.handle["t0_fields/p"][19]))


def test_out_of_range(fields):
    dataset = Windows(fields, bound(fields))
    with pytest.raises(IndexError):
        dataset[len(dataset)]
