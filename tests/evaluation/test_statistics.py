import math
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import UsageError
from agentgym.evaluation.statistics import (
    Interval,
    bootstrap_interval,
    mean_interval,
    pass_at_k,
    pass_hat_k,
    rate_interval,
    sign_flip_p_value,
    standard_error,
)

scipy_stats: Any = cast(Any, stats)
BOUNDS = Interval(-1.0, 1.0)

rates = st.lists(st.integers(0, 4).map(lambda c: c / 4), min_size=1, max_size=40)
differences = st.lists(st.integers(-4, 4).map(lambda c: c / 4), min_size=1, max_size=40)
Matrix = NDArray[np.float64]


# Standard error and intervals against other ways to the same number


@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 1000))
def test_the_standard_error_is_the_cluster_robust_one(tasks: int, samples: int, seed: int) -> None:
    outcomes_KN = np.random.default_rng(seed).integers(0, 2, size=(tasks, samples))
    residual_K = (outcomes_KN - outcomes_KN.mean()).sum(axis=1)
    robust = math.sqrt(tasks / (tasks - 1) * (residual_K**2).sum()) / outcomes_KN.size
    assert standard_error(outcomes_KN.mean(axis=1)) == pytest.approx(robust, abs=1e-15)


def test_the_mean_interval_is_students() -> None:
    values = np.random.default_rng(1).normal(0, 0.1, size=25)
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean_interval(values, BOUNDS) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_with_one_sample_per_task_and_many_tasks_the_rate_interval_is_wilsons() -> None:
    values = np.r_[np.ones(3000), np.zeros(97000)]
    expected = scipy_stats.binomtest(3000, 100_000).proportion_ci(method="wilson")
    assert rate_interval(values, 100_000) == pytest.approx((expected.low, expected.high), rel=1e-4)


def test_the_bootstrap_interval_is_scipys() -> None:
    values = np.random.default_rng(2).integers(0, 5, size=60) / 4
    expected = scipy_stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    assert bootstrap_interval(values) == pytest.approx((expected.low, expected.high), abs=0.005)


def test_samples_of_one_task_do_not_count_as_tasks() -> None:
    """Ten equal samples of each of 20 tasks say what one sample of each says, and no more."""
    once = np.r_[np.ones(10), np.zeros(10)]
    assert rate_interval(once, 20 * 10) == rate_interval(once, 20)
    independent = np.full(20, 0.5) + np.tile([0.05, -0.05], 10)
    narrow, wide = rate_interval(independent, 200), rate_interval(once, 200)
    assert narrow.high - narrow.low < 0.5 * (wide.high - wide.low)


# Properties


@given(rates)
def test_a_rate_interval_contains_the_rate_within_0_and_1_and_is_no_point(values: list[float]) -> None:
    low, high = rate_interval(values, 4 * len(values))
    assert 0 <= low <= np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 <= high <= 1
    assert high - low > 1e-3


@given(differences)
def test_a_mean_interval_contains_the_mean_within_the_bounds_and_is_no_point(values: list[float]) -> None:
    low, high = mean_interval(values, BOUNDS)
    assert -1 <= low <= np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 <= high <= 1
    assert high - low > 1e-3


@given(rates, st.randoms())
def test_the_order_of_tasks_does_not_matter(values: list[float], random: Any) -> None:
    shuffled = random.sample(values, len(values))
    assert rate_interval(shuffled, 200) == pytest.approx(rate_interval(values, 200), abs=1e-12)
    assert mean_interval(shuffled, BOUNDS) == pytest.approx(mean_interval(values, BOUNDS), abs=1e-12)
    assert bootstrap_interval(shuffled) == bootstrap_interval(values)
    assert sign_flip_p_value(shuffled) == sign_flip_p_value(values)


@given(rates)
def test_failures_mirror_successes(values: list[float]) -> None:
    low, high = rate_interval(values, 4 * len(values))
    mirrored = rate_interval([1 - value for value in values], 4 * len(values))
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(differences)
def test_exchanging_the_policies_turns_the_difference_round(values: list[float]) -> None:
    turned = [-value for value in values]
    low, high = mean_interval(values, BOUNDS)
    assert mean_interval(turned, BOUNDS) == pytest.approx((-high, -low), abs=1e-12)
    assert sign_flip_p_value(turned) == sign_flip_p_value(values)
    assert standard_error(turned) == pytest.approx(standard_error(values), nan_ok=True)


@given(st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=30), st.floats(-0.2, 0.2))
def test_shifting_all_values_shifts_the_interval(values: list[float], shift: float) -> None:
    if standard_error(values) < 1e-9:
        return
    wide = Interval(-100.0, 100.0)
    low, high = mean_interval(values, wide)
    moved = mean_interval([value + shift for value in values], wide)
    assert moved == pytest.approx((low + shift, high + shift), abs=1e-9)


@given(rates.filter(lambda values: len(values) > 1))
def test_a_higher_level_is_wider(values: list[float]) -> None:
    for narrow, wide in (
        (rate_interval(values, 200, level=0.8), rate_interval(values, 200, level=0.99)),
        (mean_interval(values, BOUNDS, level=0.8), mean_interval(values, BOUNDS, level=0.99)),
        (bootstrap_interval(values, level=0.8), bootstrap_interval(values, level=0.99)),
    ):
        assert wide.low <= narrow.low <= narrow.high <= wide.high


def test_tasks_that_do_not_vary_give_the_bounds_that_their_number_allows() -> None:
    # 0 of 20: Clopper and Pearson's upper bound is 1 - 0.025^(1/20).
    exact = scipy_stats.binomtest(0, 20).proportion_ci(method="exact")
    assert mean_interval(np.zeros(20), Interval(0.0, 1.0)) == pytest.approx((exact.low, exact.high))
    assert mean_interval(np.zeros(20), BOUNDS) == pytest.approx((-exact.high, exact.high))
    assert rate_interval(np.zeros(20), 20).high == pytest.approx(0.180, abs=0.001)
    assert rate_interval(np.ones(20), 200) == pytest.approx(rate_interval(np.ones(20), 20))
    one = rate_interval([1.0], 8)
    assert one.low < 0.01
    assert one.high == 1.0


# Coverage: how often the interval contains the truth


def _tasks(random: np.random.Generator, K: int, n: int, p: float, spread: float) -> Matrix:
    """Rates of K tasks with n samples, whose probabilities vary around p (a beta distribution)."""
    task_p_K = random.beta(p / spread, (1 - p) / spread, size=K)
    return random.binomial(n, task_p_K) / n


@pytest.mark.parametrize(
    ("K", "n", "p", "spread"),
    [(30, 1, 0.5, 0.3), (30, 4, 0.5, 0.3), (30, 4, 0.97, 0.3), (100, 1, 0.05, 1.0), (100, 4, 0.2, 2.0)],
)
def test_the_rate_interval_covers_as_often_as_it_claims(K: int, n: int, p: float, spread: float) -> None:
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(1000):
        low, high = rate_interval(_tasks(random, K, n, p, spread), K * n)
        covered += low <= p <= high
    assert 930 <= covered <= 990


def test_ignoring_the_tasks_would_cover_less_often() -> None:
    """The interval that takes 4 samples of a task for 4 tasks fails the test above, as it should."""
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(1000):
        rate = float(_tasks(random, 50, 4, 0.5, 1.0).mean())
        low, high = scipy_stats.binomtest(round(rate * 200), 200).proportion_ci(method="wilson")
        covered += low <= 0.5 <= high
    assert covered < 880


def test_the_difference_interval_covers_as_often_as_it_claims() -> None:
    random = np.random.default_rng(8)
    covered = 0
    for _ in range(1000):
        task_p_K = random.beta(1, 1, size=60) * 0.8
        before_K = random.binomial(2, task_p_K) / 2
        after_K = random.binomial(2, task_p_K + 0.15) / 2
        low, high = mean_interval(after_K - before_K, BOUNDS)
        covered += low <= 0.15 <= high
    assert 930 <= covered <= 970


def test_the_bootstrap_interval_covers_about_as_often() -> None:
    random = np.random.default_rng(9)
    covered = 0
    for _ in range(200):
        low, high = bootstrap_interval(_tasks(random, 60, 2, 0.4, 0.5))
        covered += low <= 0.4 <= high
    assert 180 <= covered <= 199


# The sign-flip test


def _by_enumeration(values: list[float]) -> float:
    found = abs(sum(values))
    signs = list(product([-1, 1], repeat=len(values)))
    sums = [abs(sum(s * v for s, v in zip(sign, values, strict=True))) for sign in signs]
    return sum(total >= found - 1e-9 for total in sums) / len(signs)


@given(st.lists(st.integers(-3, 3).map(lambda c: c / 3), min_size=1, max_size=9))
def test_few_tasks_give_the_exact_p_value(values: list[float]) -> None:
    assert sign_flip_p_value(values) == pytest.approx(_by_enumeration(values))


def test_many_tasks_give_nearly_the_exact_p_value() -> None:
    # Differences of one size: the number of positive ones is binomial.
    values = np.r_[np.ones(38), -np.ones(22), np.zeros(40)]
    exact = scipy_stats.binomtest(38, 60).pvalue
    assert sign_flip_p_value(values) == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))
    assert sign_flip_p_value(values) == sign_flip_p_value(values)


@settings(max_examples=30)
@given(st.lists(st.integers(-4, 4).map(lambda c: c / 4), min_size=1, max_size=60))
def test_a_p_value_lies_above_0_up_to_1(values: list[float]) -> None:
    assert 0 < sign_flip_p_value(values) <= 1


def test_p_values_at_the_ends() -> None:
    assert sign_flip_p_value(np.zeros(50)) == 1
    assert sign_flip_p_value([0.5, -0.5]) == 1
    assert sign_flip_p_value(np.ones(10)) == 2 / 2**10
    assert sign_flip_p_value(np.ones(100)) == 1 / 100_001


def test_tasks_without_a_difference_do_not_change_the_p_value() -> None:
    assert sign_flip_p_value([0.5, 0.25, -0.25]) == sign_flip_p_value([0.5, 0.25, -0.25, *[0.0] * 100])


def test_equal_policies_are_rarely_called_different() -> None:
    random = np.random.default_rng(10)
    called = 0
    for _ in range(400):
        task_p_K = random.beta(0.5, 0.5, size=14)
        before_K, after_K = random.binomial(1, task_p_K), random.binomial(1, task_p_K)
        called += sign_flip_p_value(after_K - before_K) < 0.05
    assert called <= 30  # 20 expected at most


# pass@k and pass^k


@given(st.integers(1, 7), st.data())
def test_pass_rates_are_the_shares_of_subsets(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))
    assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, subsets)) / len(subsets))
    assert pass_at_k(n, c, 1) == pytest.approx(pass_hat_k(n, c, 1)) == pytest.approx(c / n)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 2, 5), (4, 5, 2), (4, -1, 2), (4, 2, 0)])
def test_pass_rates_refuse_what_has_none(n: int, c: int, k: int) -> None:
    with pytest.raises(UsageError, match="pass@k needs"):
        pass_at_k(n, c, k)
    with pytest.raises(UsageError, match="pass@k needs"):
        pass_hat_k(n, c, k)


@pytest.mark.parametrize("values", [[], [float("nan")], [[0.5]]])
def test_what_is_no_list_of_tasks_is_refused(values: Any) -> None:
    statistics: list[Callable[[Any], Any]] = [
        standard_error,
        bootstrap_interval,
        sign_flip_p_value,
        partial(rate_interval, n_samples=1),
        partial(mean_interval, bounds=BOUNDS),
    ]
    for statistic in statistics:
        with pytest.raises(UsageError, match="one finite number for each"):
            statistic(values)


def test_values_out_of_bounds_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lies in \[0, 1\]"):
        rate_interval([0.5, 1.5], 2)
    with pytest.raises(UsageError, match="lie in"):
        mean_interval([0.5, 1.5], BOUNDS)
