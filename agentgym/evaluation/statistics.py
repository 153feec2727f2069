"""Statistics of success rates over tasks. Pure functions on float64; nothing here draws unseeded numbers.

Several samples of one task say less than as many tasks, so the unit is the task: each is reduced to the
mean over its samples (`values_K`), and what varies is which tasks happened to be in the suite. With
equally many samples per task the mean of `values_K` is the mean over all samples, and its standard error
the cluster-robust one with the factor K / (K - 1) (Liang and Zeger 1986; Miller 2024, "Adding Error
Bars to Evals"). Where samples were lost to a fault each task still counts once.

Legend: K tasks, B resamples.
"""

from __future__ import annotations

import math
from math import comb
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agentgym.core.errors import UsageError
from agentgym.core.quantiles import t_quantile

Values: TypeAlias = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 10_000
FLIPS = 100_000
"""Random sign flips where there are too many tasks to try all."""

_MOST_ENUMERATED = 16
_BATCH = 2_000_000
"""Most random numbers held at once."""


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def standard_error(values_K: ArrayLike) -> float:
    """Return the standard error of the mean over tasks; not a number for a single task."""
    values = _tasks(values_K)
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def rate_interval(values_K: ArrayLike, n_samples: int, level: float = LEVEL) -> Interval:
    """Return the interval of a success rate from each task's rate, given the number of samples of all tasks.

    Wilson's score interval (Wilson 1927) with n_eff samples and Student's t with K - 1 degrees of
    freedom: n_eff = p (1 - p) / se^2 is the number of independent samples that would have the standard
    error found (Korn and Graubard 1998), at most `n_samples`. Where all tasks have the same rate (all 0
    or all 1, say) the samples of a task are taken to repeat each other: n_eff = K. The interval lies in
    [0, 1], contains the rate and has a width above 0. `mean_interval` covers a rate near 0 or 1 in as
    few as 85 % of cases where it claims 95 %; this one stays near its level.
    """
    values = _tasks(values_K)
    if values.min() < 0 or values.max() > 1:
        raise UsageError(f"A success rate lies in [0, 1]; got {values.min()} to {values.max()}.")
    K, p, se = len(values), float(values.mean()), standard_error(values)
    spread = p * (1 - p)
    n_eff = min(spread / se**2, n_samples) if se > _NO_SPREAD else K
    t2_n = _t(K, level) ** 2 / n_eff
    center = (p + t2_n / 2) / (1 + t2_n)
    half = math.sqrt(t2_n * (spread + t2_n / 4)) / (1 + t2_n)
    return Interval(min(p, max(0.0, center - half)), max(p, min(1.0, center + half)))


def mean_interval(values_K: ArrayLike, bounds: Interval, level: float = LEVEL) -> Interval:
    """Return the t interval of a mean over tasks of values within `bounds`.

    mean -+ t_{K-1} se, cut at the bounds. Where the tasks do not vary (or there is one) the data give no
    standard error, and the interval says what K equal values allow: with probability `level` at most
    a share u = 1 - (alpha/2)^(1/K) of all tasks is otherwise (Clopper and Pearson 1934), and those may
    lie at a bound. So 20 tasks without any difference give a difference in [-0.17, 0.17].
    """
    values = _tasks(values_K)
    if values.min() < bounds.low or values.max() > bounds.high:
        raise UsageError(f"Values lie in {list(bounds)}; got {values.min()} to {values.max()}.")
    mean, se = float(values.mean()), standard_error(values)
    if se > _NO_SPREAD:
        half = _t(len(values), level) * se
        return Interval(max(bounds.low, mean - half), min(bounds.high, mean + half))
    share = 1 - ((1 - level) / 2) ** (1 / len(values))
    return Interval(mean - share * (mean - bounds.low), mean + share * (bounds.high - mean))


def bootstrap_interval(values_K: ArrayLike, level: float = LEVEL, seed: int = 0) -> Interval:
    """Return the percentile interval of the mean over `RESAMPLES` resamplings of the tasks.

    Efron 1979. A second opinion beside the interval by formula; it is a point where the tasks do not
    vary, and too narrow below some 20 tasks. Depends on `values_K` and `seed` only, not on their order.
    """
    values = np.sort(_tasks(values_K))
    random = np.random.default_rng(seed)
    batch = max(1, _BATCH // len(values))
    means_B = np.concatenate(
        [
            values[random.integers(len(values), size=(min(batch, RESAMPLES - done), len(values)))].mean(
                axis=1
            )
            for done in range(0, RESAMPLES, batch)
        ]
    )
    low, high = np.quantile(means_B, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def sign_flip_p_value(differences_K: ArrayLike, seed: int = 0) -> float:
    """Return the two-sided p-value of "each task's difference might as well have had the other sign".

    Fisher's randomisation test for pairs (Fisher 1935): the share of sign patterns whose sum is at least
    as far from 0 as the sum found. Exact, by all patterns, for up to 16 tasks with a difference; else
    from `FLIPS` random patterns, the one found counted among them, so that p is never 0 (Phipson and
    Smyth 2010). Tasks without a difference do not matter. Depends on neither order nor common sign.
    """
    sizes = np.sort(np.abs(_tasks(differences_K)))
    sizes = sizes[sizes > 0]
    found = abs(math.fsum(np.asarray(differences_K, np.float64)))
    reach = found - 1e-9 * float(sizes.sum())  # sums of equal patterns differ by rounding
    if len(sizes) <= _MOST_ENUMERATED:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        return float(np.mean(np.abs(sums) >= reach))
    random = np.random.default_rng(seed)
    batch = max(1, _BATCH // len(sizes))
    far = 0
    for done in range(0, FLIPS, batch):
        negative = random.integers(2, size=(min(batch, FLIPS - done), len(sizes)), dtype=np.int8)
        far += int(np.count_nonzero(np.abs(sizes.sum() - 2 * (negative @ sizes)) >= reach))
    return (far + 1) / (FLIPS + 1)


def pass_at_k(samples: int, successes: int, k: int) -> float:
    """Return the unbiased estimate of "at least one of k samples of a task succeeds".

    1 - C(n - c, k) / C(n, k) for c successes in n samples (Chen et al. 2021). Raises `UsageError` for
    k above n.

    >>> pass_at_k(4, 1, 2)
    0.5
    """
    _check_k(samples, successes, k)
    return 1 - comb(samples - successes, k) / comb(samples, k)


def pass_hat_k(samples: int, successes: int, k: int) -> float:
    """Return the unbiased estimate of "all of k samples of a task succeed", written pass^k.

    C(c, k) / C(n, k) for c successes in n samples (Yao et al. 2024, tau-bench). Raises `UsageError` for
    k above n.

    >>> pass_hat_k(4, 3, 2)
    0.5
    """
    _check_k(samples, successes, k)
    return comb(successes, k) / comb(samples, k)


_NO_SPREAD = 1e-12
"""Standard errors below this are rounding."""


def _tasks(values_K: ArrayLike) -> Values:
    values = np.asarray(values_K, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise UsageError(
            f"Statistics need one finite number for each of at least one task, got shape {values.shape}."
        )
    return values


def _t(K: int, level: float) -> float:
    return t_quantile((1 + level) / 2, max(1, K - 1))


def _check_k(samples: int, successes: int, k: int) -> None:
    if not 0 <= successes <= samples or not 1 <= k <= samples:
        raise UsageError(
            f"pass@k needs 0 <= successes <= samples and 1 <= k <= samples, got {successes}, {samples}, k={k}."
        )
