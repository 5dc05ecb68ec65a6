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
        ({"x": torch.rand(3, 2), "weights": -torch.ones(3)}, "not negative"),
        ({"x": torch.rand(4, 3, 2), "weights": torch.ones(2, 3)}, "several numbers of samples: .4, 2"),
        ({"x": torch.rand(3, 2), "weights": torch.zeros(3)}, "not all zero"),
        ({"x": torch.rand(3, 2), "weights": torch.tensor([1.0, float("nan"), 1.0])}, "finite"),
        ({"x": torch.rand(3, 2), "mask": torch.ones(2, 3)}, "wanted truth values"),
        ({"x": torch.rand(4, 3, 2), "mask": torch.ones(2, 3, dtype=torch.bool)}, "several numbers of samples: .4, 2"),
        ({"x": torch.rand(2, 3, 2), "mask": torch.tensor([[True] * 3, [False] * 3])}, "without a point"),
        ({"x": torch.rand(0, 2)}, "without a point"),
        ({"x": torch.rand(3, 2).numpy()}, "x of points is a ndarray; wanted a tensor"),
        ({"x": torch.rand(3, 2), "weights": [1.0, 1.0, 1.0]}, "weights of points is a list"),
        ({"x": torch.full((3, 2), float("nan"))}, "NaN or infinite"),
    ],
)
def test_what_does_not_fit_is_refused(parts, said):
    with pytest.raises(InputError, match=said):
        Points(**parts)


def test_shared_places_with_weights_of_each_sample():
    points = Points(torch.rand(3, 1), weights=torch.tensor([[1.0, 1.0, 2.0], [3.0, 1.0, 0.0]]))
    assert points.batch == 2
    torch.testing.assert_close(points.measure(), torch.tensor([[0.25, 0.25, 0.5], [0.75, 0.25, 0]]))


def test_half_precision_counts_many_points():
    measure = Points(torch.rand(70_000, 1).half()).measure()  # more than the largest number there
    torch.testing.assert_close(measure.sum(), torch.tensor(1.0), atol=1e-3, rtol=0)


def test_places_without_values():
    assert Points(torch.rand(5, 2, device="meta"), weights=torch.ones(5, device="meta")).measure().shape == (5,)
