import pytest
import torch

from pdeops.errors import InputError
from pdeops.nn.normalizer import Normalizer


def test_per_channel_and_back():
    x = torch.randn(64, 2, 5, 7) * torch.tensor([3.0, 0.1]).view(2, 1, 1) + torch.tensor([-1.0, 5.0]).view(2, 1, 1)
    normalizer = Normalizer(x.mean((0, 2, 3)), x.std((0, 2, 3)))
    y = normalizer(x)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((0, 2, 3)), torch.ones(2))
    torch.testing.assert_close(normalizer.inverse(y), x)


def test_a_channel_that_never_varies_has_deviation_one():
    normalizer = Normalizer(torch.tensor([4.0]), torch.tensor([0.0]))
    assert normalizer(torch.full((1, 1, 3), 4.5)).tolist() == [[[0.5, 0.5, 0.5]]]


def test_nan_statistics_are_refused():
    with pytest.raises(InputError, match="not finite"):
        Normalizer(torch.tensor([float("nan")]), torch.ones(1))


def test_a_deviation_below_single_precision_is_none():
    normalizer = Normalizer(torch.zeros(1, dtype=torch.float64), torch.full((1,), 1e-46, dtype=torch.float64))
    assert normalizer.std.dtype == torch.float32
    assert normalizer(torch.zeros(1, 1, 3)).isfinite().all()
