"""Coverage of split-conformal quantiles: exact by ranks, and never below what is asked."""

import math

import pytest
import torch

from pdeops.errors import InputError
from pdeops.uncertainty import conformal
from pdeops.uncertainty.conformal import likely_coverage, quantile, rank


@pytest.mark.parametrize(
    ("n", "coverage", "k"),
    [
        (9, 0.9, 9),
        (10, 0.9, 10),
        (18, 0.9, 18),
        (19, 0.9, 18),
        (99, 0.9, 90),
        (100, 0.9, 91),
        (19, 0.55, 11),
        (1, 0.5, 1),
    ],
)
def test_ranks(n, coverage, k):
    assert rank(n, coverage) == k


def test_the_least_number_of_samples_is_the_least():
    for coverage in (0.5, 0.8, 0.9, 0.95, 0.99):
        least = round(coverage / (1 - coverage))
        assert rank(least, coverage) == least
        with pytest.raises(InputError, match=rf"coverage={coverage:g} needs {least} calibration samples or more"):
            rank(least - 1, coverage)
    with pytest.raises(InputError, match=r"and 8 give 0\.889 at most"):
        rank(8, 0.9)
    with pytest.raises(InputError, match="and there are none"):
        rank(0, 0.9)
    for wrong in (0.0, 1.0, 90, math.nan):
        with pytest.raises(InputError, match="wanted a probability between 0 and 1"):
            rank(100, wrong)


def coverage_over_repetitions(n, coverage, repetitions=40_000):
    """How often one more exchangeable score is within the quantile of n; scores of a repetition share a scale, so that
    they are exchangeable and not independent."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(n + 1, repetitions, generator=generator).abs() * torch.rand(repetitions, generator=generator)
    return float((scores[-1] <= quantile(scores[:-1], coverage)).float().mean())


@pytest.mark.parametrize(("n", "coverage"), [(9, 0.9), (20, 0.9), (50, 0.9), (20, 0.8), (12, 0.55)])
def test_the_mean_coverage_is_the_rank_over_n_plus_one(n, coverage):
    expected = rank(n, coverage) / (n + 1)
    assert coverage <= expected < coverage + 1 / (n + 1) + 1e-9
    four_sigma = 4 * math.sqrt(expected * (1 - expected) / 40_000)
    assert abs(coverage_over_repetitions(n, coverage) - expected) < four_sigma


def test_without_the_correction_coverage_is_missed(monkeypatch):
    """The test above can fail: the plain quantile, of rank ceil(n coverage), covers less than was asked."""
    monkeypatch.setattr(conformal, "rank", lambda n, coverage: math.ceil(n * coverage))
    assert coverage_over_repetitions(20, 0.9) < 0.9 - 4 * math.sqrt(0.09 / 40_000)


def test_quantiles_are_taken_of_samples_alone():
    scores = torch.arange(1.0, 20.0)[torch.randperm(19)]
    fields = scores[:, None, None] * torch.tensor([[1.0, 10.0, 100.0]])
    assert quantile(fields, 0.9).tolist() == [[18.0, 180.0, 1800.0]]


def test_what_the_coverage_of_one_calibration_may_be():
    """Of uniform scores the coverage given the calibration is the quantile itself."""
    low, high = likely_coverage(100, 0.9)
    each = quantile(torch.rand(100, 20_000, dtype=torch.float64), 0.9)
    assert abs(float((each < low).double().mean()) - 0.05) < 0.007
    assert abs(float((each > high).double().mean()) - 0.05) < 0.007
