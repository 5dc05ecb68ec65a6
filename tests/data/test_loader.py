"""Epochs that are left and gone on with."""

import pytest
import torch

from pdeops.data.dataset import as_is
from pdeops.data.loader import Loader
from pdeops.data.sampler import Ordered


class Numbers(torch.utils.data.Dataset):
    """Its samples are their own numbers; it remembers which were read."""

    def __init__(self):
        self.read = []

    def __len__(self):
        return 11

    def __getitems__(self, indices):
        self.read += indices
        return torch.tensor(indices)


def loader(rank=0, world=1, workers=0):
    sampler = Ordered(range(11), world, rank, shuffle=True, seed=3)
    return Loader(Numbers(), batch_size=2, sampler=sampler, collate_fn=as_is, num_workers=workers)


def epoch(loader, number):
    loader.sampler.set_epoch(number)
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize(("rank", "world", "workers"), [(0, 1, 0), (1, 2, 0), (0, 1, 1)])
def test_an_epoch_goes_on_where_it_was_left(rank, world, workers):
    whole, left, resumed = (loader(rank, world, workers) for _ in range(3))
    expected = [epoch(whole, 4), epoch(whole, 5)]
    left.sampler.set_epoch(4)
    batches = iter(left)
    given = [next(batches).tolist() for _ in range(2)]
    assert left.state_dict() == {"batches": 2}
    resumed.load_state_dict(left.state_dict())
    batches = iter(resumed)  # before the epoch is known, as Lightning does
    resumed.sampler.set_epoch(4)
    rest = [batch.tolist() for batch in batches]
    assert given + rest == expected[0]
    assert epoch(resumed, 5) == expected[1] != expected[0]
    if not workers:
        assert resumed.dataset.read == [i for batch in rest + expected[1] for i in batch]
    assert len(resumed) == len(whole)


def test_a_whole_epoch_begins_the_next_one():
    one = loader()
    one.load_state_dict({"batches": len(one)})
    assert epoch(one, 0) == epoch(loader(), 0)
