"""How much a prediction takes, how many samples fit, and what is said where they do not."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.grid import Grid
from pdeops.inference import memory
from pdeops.inference.batches import in_batches, over
from pdeops.inference.memory import _Peak, fitting, free_bytes, sample_bytes
from tests.test_surrogate import make


def test_tensors_alive_are_counted():
    with _Peak() as tracked:
        a = torch.zeros(1000)
        b = a + 1
        view = b[:10]
        del a
        c = torch.zeros(500)
        del b
        assert tracked.live == 4 * 1500  # the view keeps b's values
        del view, c
    assert tracked.live == 0
    assert tracked.peak == 4 * 2000


@pytest.mark.parametrize("n", [12, 24, 48])
def test_what_a_sample_takes_follows_from_the_trained_lattice(n):
    surrogate = make()
    surrogate.predict(torch.randn(1, 2, n, n))  # tables
    with _Peak() as tracked:
        surrogate.predict(torch.randn(1, 2, n, n))
    assert 0.5 * tracked.peak < sample_bytes(surrogate, (n, n)) < 2 * tracked.peak
    with _Peak() as tracked:
        surrogate.predict(torch.randn(1, 2, 12, 12), Grid.periodic((n, n)))
    assert sample_bytes(surrogate, (12, 12), Grid.periodic((n, n))) > 0.5 * tracked.peak


def test_as_many_as_fit_into_half_of_what_is_free(monkeypatch):
    surrogate = make()
    each = sample_bytes(surrogate, (12, 12))
    for free, samples in ((1000 * each, 64), (10 * each, 5), (each, 1)):
        monkeypatch.setattr(memory, "free_bytes", lambda device, free=free: free)
        assert fitting(surrogate, (12, 12)) == samples
    monkeypatch.setattr(memory, "free_bytes", lambda device: each - 1)
    with pytest.raises(InputError, match=r"one sample needs about .* GiB, and .* GiB are free: ask for fewer nodes"):
        fitting(surrogate, (12, 12))


def test_control_groups_limit_what_is_free(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    assert free_bytes(torch.device("cpu")) > 2**20
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert free_bytes(torch.device("cpu")) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(torch.device("cpu")) > 2**20


class Room:
    """As of a machine that holds so many samples."""

    def __init__(self, samples):
        self.samples, self.calls = samples, []

    def __call__(self, i, j):
        self.calls.append((i, j))
        if j - i > self.samples:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        return i, j


def test_batches_are_halved_until_they_fit():
    room = Room(3)
    assert [found for _, found in over(10, 8, room)] == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10)]
    assert room.calls[:3] == [(0, 8), (0, 4), (0, 2)]  # and not tried again
    with pytest.raises(InputError, match="a batch of 8 samples does not fit into memory: take a smaller batch_size"):
        list(over(10, 8, Room(3), fixed=True))
    with pytest.raises(InputError, match="one sample does not fit"):
        list(over(10, 8, Room(0)))


def test_other_errors_pass():
    def broken(i, j):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(over(2, 2, broken))


def test_predicted_in_batches():
    surrogate, a = make(), torch.randn(7, 2, 12, 12)
    whole = surrogate.predict(a)
    for size in (None, 1, 3, 7, 100):
        torch.testing.assert_close(in_batches(surrogate, a, batch_size=size), whole)
    fine = Grid.periodic((24, 24))
    found = in_batches(surrogate, a.numpy(), fine, batch_size=2)
    torch.testing.assert_close(torch.from_numpy(found), surrogate.predict(a, fine))
    with pytest.raises(InputError, match=r"inference.batch_size=0: wanted at least 1"):
        in_batches(surrogate, a, batch_size=0)
