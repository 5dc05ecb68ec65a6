"""Split-conformal quantiles: what the score of one more sample stays below, whatever its distribution.

Of n + 1 exchangeable scores each is equally likely to have any rank, so that the last one is at most the k-th smallest
of the other n with probability k / (n + 1) or more (equal, if no two scores are). With k = ceil((n + 1) coverage), the
empirical quantile of level ceil((n + 1) coverage) / n, this is `coverage` at least, and less than 1 / (n + 1) more.
The probability is over the n scores and the new one.
Source: Vovk, Gammerman and Shafer, Algorithmic learning in a random world, 2005;
Lei et al., JASA 113 (2018), theorem 2.
"""

from __future__ import annotations

from math import ceil

from torch import Tensor

from pdeops.errors import InputError

ROUNDING = 1e-9  # of (n + 1) coverage, which may be a whole number but for it


def check_coverage(coverage: float) -> None:
    if not 0 < coverage < 1:
        raise InputError(f"coverage={coverage}: wanted a probability between 0 and 1, such as 0.9")


def rank(n: int, coverage: float) -> int:
    """k = ceil((n + 1) coverage). Raises InputError if n scores are too few, k > n, or coverage is no probability."""
    check_coverage(coverage)
    if n < 0:
        raise InputError(f"{n} calibration samples: wanted a number of them")
    k = ceil((n + 1) * coverage - ROUNDING)
    if k > n:
        least = ceil(coverage / (1 - coverage) - ROUNDING)
        most = f"{n} give {n / (n + 1):.3g} at most" if n else "there are none"
        raise InputError(f"coverage={coverage:g} needs {least} calibration samples or more, and {most}")
    return k


def quantile(scores: Tensor, coverage: float) -> Tensor:
    """(n, ...) -> (...): the k-th smallest of each n scores. Raises InputError as `rank` does."""
    return scores.kthvalue(rank(len(scores), coverage), dim=0).values


def likely_coverage(n: int, coverage: float, probability: float = 0.9) -> tuple[float, float]:
    """Between what bounds the coverage of one calibration lies, given its n scores, with a probability: the central
    quantiles of Beta(k, n + 1 - k), exact for scores without ties."""
    from scipy.special import betaincinv

    k, tail = rank(n, coverage), (1 - probability) / 2
    low, high = (float(betaincinv(k, n + 1 - k, p)) for p in (tail, 1 - tail))
    return low, high
