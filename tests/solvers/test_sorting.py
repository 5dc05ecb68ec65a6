"""Orders of samples: permutations whatever comes in, short chains, and the published greedy rule."""

import numpy as np
import pytest

from pdeops.errors import InputError
from pdeops.solvers import sorting
from pdeops.solvers.sorting import chain_length, divided, greedy

ORDERS = [greedy, divided]


def published(features):
    """Algorithm 1 as it is written."""
    rows, left, order = features.reshape(len(features), -1), list(range(1, len(features))), [0]
    while left:
        distances = [np.linalg.norm(rows[order[-1]] - rows[j]) for j in left]
        order.append(left.pop(int(np.argmin(distances))))
    return order


@pytest.fixture
def small_cells(monkeypatch):
    monkeypatch.setattr(sorting, "CELL", 40)


def smooth_fields(n, seed=0):
    """Fields (n, 12, 12) of four coefficients each."""
    x = np.linspace(0, 1, 12)
    modes = np.stack([np.outer(np.cos(np.pi * i * x), np.cos(np.pi * j * x)) for i in (0, 1) for j in (1, 2)])
    return np.tensordot(np.random.default_rng(seed).standard_normal((n, 4)), modes, 1)


@pytest.mark.parametrize("limit", [10, 1000])
def test_greedy_is_the_published_chain(limit, monkeypatch):
    monkeypatch.setattr(sorting, "GRAM_LIMIT", limit)
    fields = smooth_fields(60)
    assert greedy(fields).tolist() == published(fields)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 100])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e307])
def test_any_number_and_scale_gives_a_permutation(order, n, scale, small_cells):
    features = scale * (2 + np.random.default_rng(0).standard_normal((n, 3)))  # 1e307: sums overflow
    assert np.sort(order(features)).tolist() == list(range(n))
    assert order(features).tolist() == order(features / scale).tolist()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("features", [np.zeros((100, 2)), np.repeat(np.eye(4), 30, axis=0), np.ones(90)])
def test_ties_give_a_permutation(order, features, small_cells):
    assert np.sort(order(features)).tolist() == list(range(len(features)))


def test_a_large_common_part_does_not_hide_the_differences():
    features = np.random.default_rng(0).standard_normal((50, 3))
    assert greedy(features + 1e9).tolist() == greedy(features).tolist()


def test_complex_features_count_both_parts():
    angles = np.random.default_rng(0).uniform(0, 6, 30)
    assert greedy(np.exp(1j * angles)).tolist() == greedy(np.stack([np.cos(angles), np.sin(angles)], 1)).tolist()


def test_divided_chains_are_nearly_as_short(small_cells):
    fields = smooth_fields(600)
    unsorted, best, fast = (chain_length(fields, p) for p in (None, greedy(fields), divided(fields)))
    assert best < 0.35 * unsorted
    assert fast < 1.2 * best


def test_chain_length():
    points = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 5.0]])
    assert chain_length(points) == pytest.approx(6)
    assert chain_length(points, [1, 0, 2]) == pytest.approx(5 + np.sqrt(34))
    assert chain_length(points[:1]) == chain_length(points[:0]) == 0
    assert chain_length(1e300 * points) == pytest.approx(6e300)


@pytest.mark.parametrize("order", ORDERS)
def test_features_that_are_not_finite_are_refused(order):
    features = np.ones((5, 2))
    features[3, 1] = np.nan
    with pytest.raises(InputError, match="sample 3"):
        order(features)


@pytest.mark.parametrize("order", ORDERS)
def test_inputs_stay_as_they_are(order):
    features = np.random.default_rng(0).standard_normal((20, 3))
    features.flags.writeable = False
    before = features.copy()
    order(features)
    assert (features == before).all()
