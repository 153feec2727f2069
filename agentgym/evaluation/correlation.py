"""Rank correlation of figures that come in clusters, such as the turns of one task's rollouts.

Legend: S samples, U different values, K clusters, B resamples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentgym.core.errors import UsageError
from agentgym.evaluation.statistics import LEVEL, Interval

Values = NDArray[np.float64]

RESAMPLES = 2000

_BATCH = 200
"""Resamples held at once."""


class Correlation(NamedTuple):
    """A correlation and its interval."""

    value: float
    interval: Interval


def rank_correlation(one_S: ArrayLike, other_S: ArrayLike) -> float:
    """Return Spearman's rho, -1..1, ties having the mean of their ranks; not a number where either is constant.

    Raises `UsageError` for samples that are not finite or not pairs.
    """
    one, other = (np.asarray(values, np.float64) for values in (one_S, other_S))
    if one.ndim != 1 or one.shape != other.shape or not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise UsageError(
            f"A rank correlation needs pairs of finite numbers, got shapes {one.shape} and {other.shape}."
        )
    return float(_weighted(one, other, np.ones((1, len(one)), np.int64))[0]) if len(one) else float("nan")


def clustered_rank_correlation(
    one_S: ArrayLike, other_S: ArrayLike, cluster_S: ArrayLike, level: float = LEVEL, seed: int = 0
) -> Correlation:
    """Return Spearman's rho over all samples with its percentile interval over resamples of whole clusters.

    Samples of a cluster depend on each other; the clusters are what was drawn. Resamples in which either side is
    constant are left out; with fewer than two clusters there is no interval (not a number).
    """
    value = rank_correlation(one_S, other_S)
    names, cluster_S = np.unique(np.asarray(cluster_S), return_inverse=True)
    K = len(names)
    if K < 2:
        return Correlation(value, Interval(float("nan"), float("nan")))
    count_BK = np.random.default_rng(seed).multinomial(K, np.full(K, 1 / K), size=RESAMPLES)
    found = [
        _weighted(one_S, other_S, count_BK[b : b + _BATCH][:, cluster_S]) for b in range(0, RESAMPLES, _BATCH)
    ]
    found_B = np.concatenate(found)
    kept_B = found_B[np.isfinite(found_B)]
    if not len(kept_B):
        return Correlation(value, Interval(float("nan"), float("nan")))
    low, high = np.quantile(kept_B, [(1 - level) / 2, (1 + level) / 2])
    return Correlation(value, Interval(float(low), float(high)))


def reliability(one_S: ArrayLike, other_S: ArrayLike) -> float:
    """Return how well the mean of two equally noisy measurements repeats itself, 0..1: 2 r / (1 + r) of their rank
    correlation r, 0 where that is negative (Spearman 1910, Brown 1910). The rank correlation of anything with that
    mean is at most about its square root."""
    r = max(rank_correlation(one_S, other_S), 0.0)
    return 2 * r / (1 + r)


def _weighted(one_S: ArrayLike, other_S: ArrayLike, weight_BS: NDArray[np.int64]) -> Values:
    """Return Spearman's rho of the samples, each as often as its weight says, for each row of weights, shape (B,)."""
    one_BS, other_BS = (_ranks(np.asarray(values, np.float64), weight_BS) for values in (one_S, other_S))
    total_B = weight_BS.sum(1)

    def centred(rank_BS: Values) -> Values:
        return rank_BS - ((weight_BS * rank_BS).sum(1) / total_B)[:, None]

    one_BS, other_BS = centred(one_BS), centred(other_BS)
    product_B, one_B, other_B = (
        (weight_BS * left * right).sum(1)
        for left, right in ((one_BS, other_BS), (one_BS, one_BS), (other_BS, other_BS))
    )
    size_B = np.sqrt(one_B * other_B)
    return np.divide(product_B, size_B, out=np.full(len(size_B), np.nan), where=size_B > 0)


def _ranks(values_S: Values, weight_BS: NDArray[np.int64]) -> Values:
    """Return the mean rank of each sample among all, each as often as its weight says, shape (B, S)."""
    order_S = np.argsort(values_S, kind="stable")
    _, first_U, place_S = np.unique(values_S[order_S], return_index=True, return_inverse=True)
    weight_BU = np.add.reduceat(weight_BS[:, order_S], first_U, axis=1)
    rank_BU = weight_BU.cumsum(1) - (weight_BU - 1) / 2
    rank_BS = np.empty(weight_BS.shape)
    rank_BS[:, order_S] = rank_BU[:, place_S]
    return rank_BS
