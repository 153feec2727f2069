"""The estimator: known values, what it promises on average, and how sure it is."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.errors import ConfigError
from agentgym.memory.credit.baseline import baselines
from agentgym.memory.credit.evidence import Exposure, Rollout
from agentgym.memory.credit.lift import NOTHING_KNOWN, Lift, estimate, lift_terms, lifts
from agentgym.memory.credit.scorers import LiftScorer
from tests.memory.credit.worlds import confounded, play


def rollout(group: str, reward: float, *shown: bool, probability: float = 0.5) -> Rollout:
    exposures = (Exposure(f"v{number}", probability, was) for number, was in enumerate(shown))
    return Rollout(group, reward, tuple(exposures))


def test_the_terms_of_one_group_are_those_of_the_formula() -> None:
    """G/(G-1) (r - group mean) (z - p) / (p (1 - p)) with G = 4 and p = 1/4."""
    rewards, shown = [1.0, 0.0, 1.0, 1.0], [True, False, False, True]
    group = [rollout("g", r, z, probability=0.25) for r, z in zip(rewards, shown, strict=True)]
    expected = [4 / 3 * (r - 0.75) * (z - 0.25) / (0.25 * 0.75) for r, z in zip(rewards, shown, strict=True)]
    assert lift_terms(group)["v0"]["g"] == pytest.approx(expected)
    found = lifts(group)["v0"]
    assert (found.mean, found.n, found.groups) == (pytest.approx(sum(expected) / 4), 4, 1)
    assert found.interval() == (-math.inf, math.inf)


def test_the_error_is_clustered_by_group() -> None:
    """Three groups of two with terms that agree inside: the error is that of three observations, not of six."""
    terms = {"a": [1.0, 1.0], "b": [2.0, 2.0], "c": [3.0, 3.0]}
    found = estimate(terms)
    assert found.mean == 2
    assert found.se == pytest.approx(1 / math.sqrt(3))
    low, high = found.interval(0.9)
    assert (low, high) == (
        pytest.approx(2 - 2.919986 / math.sqrt(3)),
        pytest.approx(2 + 2.919986 / math.sqrt(3)),
    )


def test_shrinking_is_the_posterior_of_a_doubtful_prior() -> None:
    """w = 100 / (100 + 50); the precision of prior and data add up."""
    found = Lift(0.3, 0.06, 100, 12).shrunk(50)
    assert (found.mean, found.n, found.groups) == (pytest.approx(0.2), 100, 12)
    variance = 0.06**2 * 100
    assert 1 / found.se**2 == pytest.approx(100 / variance + 50 / variance)
    assert Lift(0.3, 0.06, 100, 12).shrunk(0) == Lift(0.3, 0.06, 100, 12)
    assert NOTHING_KNOWN.shrunk() == NOTHING_KNOWN == estimate({})


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_the_terms_are_unbiased_over_every_draw(probability: float) -> None:
    """All 256 draws of two items in a group of four, with their probabilities; rewards depend on both items, and not
    additively."""
    skill, mean = [0.1, 0.5, 0.9, 0.2], 0.0
    for draw in itertools.product([False, True], repeat=8):
        pairs = list(zip(draw[::2], draw[1::2], strict=True))
        chance = math.prod(probability if z else 1 - probability for z in draw)
        group = [
            rollout("g", own + 0.3 * a - 0.2 * b + 0.4 * (a and b), a, b, probability=probability)
            for own, (a, b) in zip(skill, pairs, strict=True)
        ]
        mean += chance * lifts(group)["v0"].mean
    assert mean == pytest.approx(0.3 + 0.4 * probability)


def test_hard_tasks_do_not_make_an_item_look_harmful() -> None:
    found = lifts(confounded(groups=100))
    assert found["helps"].mean == pytest.approx(0.15, abs=0.06)
    assert found["harms"].mean == pytest.approx(-0.15, abs=0.06)
    assert found["helps"].interval().low > 0 > found["harms"].interval().high


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = {"up": 0.15, "down": -0.1, "nothing": 0.0}
    held = [
        low <= truth[version] <= high
        for seed in range(150)
        for version, lift in lifts(play(truth, groups=20, seed=seed)).items()
        for low, high in [lift.interval(0.9)]
    ]
    assert 0.86 <= np.mean(held) <= 0.94


def test_more_rollouts_make_it_surer() -> None:
    few, many = (lifts(play({"v": 0.1}, groups=groups))["v"] for groups in (25, 400))
    assert many.se == pytest.approx(few.se / 4, rel=0.25)


@given(st.floats(-10, 10), st.floats(0.1, 10), st.integers(0, 50))
def test_lifts_go_with_the_rewards(shift: float, scale: float, seed: int) -> None:
    """A constant on all rewards changes nothing, a factor is a factor."""
    rollouts = play({"a": 0.2, "b": 0.0}, groups=3, size=4, seed=seed)
    moved = [replace(each, reward=shift + scale * each.reward) for each in rollouts]
    before, after = lifts(rollouts), lifts(moved)
    for version in before:
        assert after[version].mean == pytest.approx(scale * before[version].mean, abs=1e-6)
        assert after[version].se == pytest.approx(scale * before[version].se, abs=1e-6)


@given(st.integers(0, 50))
def test_the_order_of_rollouts_does_not_matter(seed: int) -> None:
    rollouts = play({"a": 0.2, "b": 0.0}, groups=3, size=4, seed=seed)
    mixed: list[Rollout] = [
        rollouts[int(index)] for index in np.random.default_rng(seed).permutation(len(rollouts))
    ]
    for version, lift in lifts(rollouts).items():
        assert lifts(mixed)[version].mean == pytest.approx(lift.mean)
        assert lifts(mixed)[version].se == pytest.approx(lift.se)


def test_what_was_always_shown_says_nothing() -> None:
    assert lifts(play({"v": 0.3}, groups=10, probability=1.0)) == {}
    assert LiftScorer().scores(play({"v": 0.3}, groups=10, probability=1.0)) == {}


def test_constant_groups_are_no_certainty() -> None:
    """Tasks that are always or never solved: no lift, and neither bound of the interval is beyond 0."""
    rollouts = [rollout(f"g{n}", float(n % 2), member % 2 == 0) for n in range(30) for member in range(8)]
    low, high = lifts(rollouts)["v0"].shrunk().interval()
    assert low <= 0 <= high


def test_a_baseline_is_its_groups_others_where_groups_differ() -> None:
    rollouts = [rollout(f"g{n}", float(n % 2), True) for n in range(30) for _ in range(4)]
    assert baselines(rollouts) == pytest.approx([each.reward for each in rollouts])


def test_a_baseline_is_what_other_groups_say_where_groups_are_alike() -> None:
    """One base rate for all: the mean over all others is nearer to it than that of three others."""
    rollouts = play({"v": 0.0}, groups=200, size=4, base=(0.5, 0.5))
    found = np.array([expected or 0.0 for expected in baselines(rollouts)])
    assert np.abs(found - 0.5).max() < 0.15


def test_a_rollout_without_company_is_compared_with_those_that_had_its_candidates() -> None:
    alone = play({"v": 0.3}, groups=400, size=1)
    assert lifts(alone)["v"].mean == pytest.approx(0.3, abs=0.1)
    assert baselines([rollout("g", 1.0, True)]) == [None]
    assert lifts([rollout("g", 1.0, True)]) == {}


def test_a_prior_is_worth_something() -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        LiftScorer(prior=-1)
