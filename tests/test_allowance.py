"""What may be made within an allowance, and that nothing larger is ever begun."""

import resource

import pytest
import torch
from torch import nn

from pdeops.allowance import Allowance
from pdeops.errors import InputError

LARGE = {
    "linear": lambda: nn.Linear(10**6, 10**6),
    "random": lambda: torch.randn(10**12),
    "beyond any address": lambda: torch.empty(2**31, 2**31),
    "outer product": lambda: torch.outer(torch.ones(10**5), torch.ones(10**5)),
    "sum of a row and a column": lambda: torch.ones(10**5, 1) + torch.ones(10**5),
    "identity": lambda: torch.eye(10**6),
    "range": lambda: torch.arange(10**12),
    "equally spaced": lambda: torch.linspace(0, 1, 10**12),
    "repeated": lambda: torch.ones(3).repeat(10**12),
    "copied": lambda: torch.ones(3).expand(10**9, 3).contiguous(),
    "many": lambda: [torch.ones(1000) for _ in range(10**4)],
}


@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_what_is_too_large_is_not_begun(make):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="more than 10 MiB to build it"), Allowance(10 * 2**20, 10**6):
        make()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB: the tables of sizes are loaded


def test_operations_are_counted():
    with pytest.raises(InputError, match="more than 100 operations to build it"), Allowance(2**40, 100):
        [torch.ones(1) for _ in range(101)]


def test_all_bytes_count_and_no_more():
    with Allowance(2 * 4 * 1000, 100):
        kept = [torch.ones(1000), torch.zeros(1000)]
        kept[0].add_(1)  # makes nothing
    with pytest.raises(InputError), Allowance(2 * 4 * 1000, 100):
        kept = [torch.ones(1000), torch.zeros(1000), torch.ones(1)]


def test_within_it_everything_is_as_it_would_be():
    def make():
        torch.manual_seed(0)
        x = nn.Linear(7, 5)(torch.randn(3, 7))
        return torch.fft.rfft(torch.linalg.solve(torch.eye(3), x), dim=1).abs()

    with Allowance(2**20, 1000):
        found = make()
    assert torch.equal(found, make())
