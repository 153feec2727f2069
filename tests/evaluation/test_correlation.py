"""Rank correlations: as scipy has them, with intervals that cover."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import UsageError
from agentgym.evaluation.correlation import clustered_rank_correlation, rank_correlation, reliability

pairs = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=3, max_size=30)


@given(pairs)
def test_rho_is_scipys(found: list[tuple[int, int]]) -> None:
    one, other = np.array(found, float).T
    if np.ptp(one) and np.ptp(other):
        expected: Any = stats.spearmanr(one, other)  # pyright: ignore[reportUnknownMemberType]
        assert rank_correlation(one, other) == pytest.approx(expected.statistic)
    else:
        assert np.isnan(rank_correlation(one, other))


def test_the_interval_covers_what_clusters_share() -> None:
    random, covered = np.random.default_rng(0), 0
    for trial in range(15):
        common_K = random.normal(size=(25, 2))
        noise = random.normal(size=(25, 8, 2))
        one, other = (common_K[:, None, side] + noise[:, :, side] for side in (0, 1))
        cluster = np.repeat(np.arange(25), 8)
        found = clustered_rank_correlation(one.ravel(), other.ravel(), cluster, seed=trial)
        assert found.interval.low < found.value < found.interval.high
        covered += found.interval.low <= 0.0 <= found.interval.high
    assert covered >= 12, "independent by construction: samples of a cluster must not count as many"


def test_resamples_are_of_whole_clusters() -> None:
    random = np.random.default_rng(2)
    one, other = random.integers(0, 4, (2, 30)).astype(float)
    cluster = np.repeat(np.arange(5), 6)
    found = clustered_rank_correlation(one, other, cluster, seed=3)
    drawn = np.random.default_rng(3).multinomial(5, np.full(5, 0.2), size=2000)
    repeated = [np.repeat(np.arange(30), counts[cluster]) for counts in drawn]
    apart = [rank_correlation(one[rows], other[rows]) for rows in repeated]
    assert (found.interval.low, found.interval.high) == pytest.approx(np.nanquantile(apart, [0.025, 0.975]))


def test_a_mean_of_halves_repeats_itself_better_than_they() -> None:
    random = np.random.default_rng(1)
    truth = random.normal(size=4000)
    one, other = (truth + random.normal(size=4000) for _ in range(2))
    assert rank_correlation(one, other) == pytest.approx(0.48, abs=0.04)
    share = reliability(one, other)
    assert share == pytest.approx(2 / 3, abs=0.04)
    assert rank_correlation(truth, one + other) <= np.sqrt(share) + 0.02
    assert reliability(one, -one) == 0


def test_what_are_no_pairs_of_numbers_is_refused() -> None:
    for one, other in (([1.0, np.nan], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([[1.0]], [[1.0]])):
        with pytest.raises(UsageError, match="pairs of finite numbers"):
            rank_correlation(one, other)
    lone = clustered_rank_correlation([1.0, 2.0], [1.0, 2.0], [0, 0])
    assert lone.value == pytest.approx(1.0)
    assert np.isnan(lone.interval.low)
