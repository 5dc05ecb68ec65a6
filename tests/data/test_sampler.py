"""Windows drawn from trajectories."""

from types import SimpleNamespace

import pytest

from pdeops.data.sampler import Drawn, spread

DATASET = SimpleNamespace(fields=SimpleNamespace(samples=range(5)), starts=7)


def epoch_of(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


def test_every_trajectory_has_its_share_of_different_windows_and_epochs_differ():
    sampler = Drawn(DATASET, 3, num_replicas=1, rank=0, seed=4)
    first, second = epoch_of(sampler, 0), epoch_of(sampler, 1)
    assert len(sampler) == len(first) == len(set(first)) == 15
    assert [sum(i // 7 == row for i in first) for row in range(5)] == [3] * 5
    assert sorted(first) != sorted(second)
    assert first != sorted(first)
    assert epoch_of(sampler, 0) == first
    assert sorted(epoch_of(Drawn(DATASET, 3, num_replicas=1, rank=0, seed=5), 0)) != sorted(first)


def test_over_epochs_every_window_comes():
    sampler = Drawn(DATASET, 1, num_replicas=1, rank=0)
    assert {i for epoch in range(60) for i in epoch_of(sampler, epoch)} == set(range(35))


def test_processes_share_an_epoch():
    parts = [epoch_of(Drawn(DATASET, 2, num_replicas=2, rank=rank), 3) for rank in (0, 1)]
    assert set(parts[0]) | set(parts[1]) == set(epoch_of(Drawn(DATASET, 2, num_replicas=1, rank=0), 3))
    assert not set(parts[0]) & set(parts[1])


@pytest.mark.parametrize(("count", "starts"), [(1, [0]), (3, [0, 3, 6]), (9, list(range(7)))])
def test_evenly_spaced_windows(count, starts):
    assert spread(DATASET, count) == [row * 7 + start for row in range(5) for start in starts]


def test_more_windows_than_there_are_is_all_of_them():
    assert sorted(Drawn(DATASET, 100, num_replicas=1, rank=0)) == list(range(35))
