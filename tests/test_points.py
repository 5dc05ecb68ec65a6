"""Scattered points."""

import pytest
import torch

from pdeops.errors import InputError
from pdeops.points import Points


def test_equal_shares_without_weights():
    torch.testing.assert_close(Points(torch.rand(5, 2)).measure(), torch.full((5,), 0.2))


def test_shares_follow_the_weights_and_leave_out_what_is_masked():
    mask = torch.tensor([[True, True, False], [True, True, True]])
    measure = Points(torch.rand(2, 3, 1), weights=torch.tensor([1.0, 3.0, 4.0]), mask=mask).measure()
    torch.testing.assert_close(measure, torch.tensor([[0.25, 0.75, 0], [0.125, 0.375, 0.5]]))


def test_whose_points_they_are():
    x = torch.rand(4, 3, 2)
    assert Points(x).batch == 4
    assert Points(x[0]).batch is None
    assert Points(x[0], mask=torch.ones(2, 3, dtype=torch.bool)).batch == 2
    assert Points(x).ndim == 2


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"x": torch.rand(3)}, "wanted real numbers"),
        ({"x": torch.ones(3, 2, dtype=torch.long)}, "int64"),
        ({"x": torch.rand(3, 2), "weights": torch.ones(2)}, r"weights of shape \(2,\)"),
        ({"x": torch.rand(3, 2), "weights": torch.tensor([1.0, -1.0, 1.0])}, "not negative"),
        ({"x": torch.rand(3, 2), "weights": torch.zeros(3)}, "not all zero"),
        ({"x": torch.rand(3, 2), "weights": torch.tensor([1.0, float("nan"), 1.0])}, "finite"),
        ({"x": torch.rand(3, 2), "mask": torch.ones(2, 3)}, "wanted truth values"),
        ({"x": torch.rand(4, 3, 2), "mask": torch.ones(2, 3, dtype=torch.bool)}, "2 samples for the points of 4"),
        ({"x": torch.rand(2, 3, 2), "mask": torch.tensor([[True] * 3, [False] * 3])}, "without a point"),
        ({"x": torch.rand(0, 2)}, "without a point"),
    ],
)
def test_what_does_not_fit_is_refused(parts, said):
    with pytest.raises(InputError, match=said):
        Points(**parts)
