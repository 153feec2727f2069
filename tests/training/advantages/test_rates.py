"""Advantages from success rates: of the group, of the batch, and tracked over the iterations."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats  # pyright: ignore[reportMissingTypeStubs]

from agentgym.core.errors import UsageError
from agentgym.training.advantages.beta import BetaNormalised
from agentgym.training.advantages.tracker import Tracker
from tests.training.advantages.tables import one_turn_each

QUARTERS = one_turn_each("aaaabbbb", [1, 0, 0, 0, 1, 1, 1, 0])


def test_bnpo_on_its_worked_example() -> None:
    expected = np.array([3, -1, -1, -1, 1, 1, 1, -3]) * 0.2388688
    np.testing.assert_allclose(BetaNormalised()(QUARTERS), expected, atol=1e-6)


def test_the_weights_are_those_of_a_beta_distribution() -> None:
    rate_G = np.array([0.25, 0.75, 0.5])
    mean, variance = 0.5, rate_G.var(ddof=1)
    strength = mean * (1 - mean) / variance - 1
    fitted: Any = stats.beta(1 + strength * mean / 3, 1 + strength * (1 - mean) / 3)
    np.testing.assert_allclose(BetaNormalised().weights(rate_G, rate_G), 1 / fitted.pdf(rate_G))


def test_one_group_has_the_plain_advantage() -> None:
    turns = one_turn_each("gggg", [1, 0, 0, 1])
    assert BetaNormalised()(turns).tolist() == [0.5, -0.5, -0.5, 0.5]


def test_equal_rates_are_learned_from_though_the_released_code_gives_nan() -> None:
    turns = one_turn_each("aaaabbbb", [1, 0, 1, 0, 0, 1, 0, 1])
    assert BetaNormalised()(turns).tolist() == [0.5, -0.5, 0.5, -0.5, -0.5, 0.5, -0.5, 0.5]
    assert np.isnan(BetaNormalised().as_published()(turns)).all()


def test_a_rate_that_never_occurs_does_not_outweigh_the_batch() -> None:
    """A group of one is worth a million at the released cap, and nothing here."""
    turns = one_turn_each("abbbbcccc", [1, 0, 1, 0, 0, 1, 1, 0, 1])
    published, ours = BetaNormalised().as_published()(turns), BetaNormalised()(turns)
    assert published[0] > 1e5
    assert ours[0] == 0.0
    assert np.abs(ours).max() <= 10.0


def test_scores_of_another_scale_are_mapped_to_rates() -> None:
    scaled = replace(QUARTERS, score_T=10 * QUARTERS.score_T - 5)
    np.testing.assert_allclose(BetaNormalised(worst=-5, best=5)(scaled), BetaNormalised()(QUARTERS))
    with pytest.raises(ValueError, match="above `worst`"):
        BetaNormalised(worst=1.0, best=1.0)


def test_the_tracker_compares_with_what_it_remembers() -> None:
    tracker = Tracker(std=False)
    turns = one_turn_each("ab", [1.0, 0.0])
    np.testing.assert_allclose(tracker(turns), [0.5, -0.5])  # both rates begin at 1/2; the batch mean is 0
    assert tracker.evidence("a").rate == pytest.approx((0.96 * 0.5 + 1) / (0.96 + 1))
    again = tracker(turns)
    surprise = np.array([1 - tracker_rate(1.0), -tracker_rate(0.0)])
    np.testing.assert_allclose(again, surprise - surprise.mean())


def tracker_rate(outcome: float) -> float:
    return (0.96 * 0.5 + outcome) / (0.96 + 1)


def test_the_tracker_forgets_faster_the_further_the_policy_has_moved() -> None:
    tracker = Tracker()
    assert tracker.forgetting(0.0) == 0.96
    assert tracker.forgetting(0.01) == pytest.approx(0.8908987)
    assert tracker.forgetting(1.0) == 0.875
    turns = replace(one_turn_each("ab", [1.0, 1.0]), drift_T=np.array([0.0, 1.0]))
    tracker(turns)
    assert sum(tracker.evidence("a")) == pytest.approx(0.96 + 1)
    assert sum(tracker.evidence("b")) == pytest.approx(0.875 + 1)


def test_offline_outcomes_weigh_as_much_as_the_longest_memory() -> None:
    tracker = Tracker()
    evidence = tracker.take_in_offline("a", [1, 0, 0, 1, 0, 0, 0, 0])
    assert evidence == pytest.approx((2.2222222, 5.7777778))
    assert tracker.priority("a") == pytest.approx(0.4979032)
    assert tracker.priority("unknown") == pytest.approx(0.55)


def test_several_rollouts_of_a_task_are_one_visit() -> None:
    tracker = Tracker()
    tracker(one_turn_each("aaa", [1.0, 0.0, 1.0]))
    assert tracker.evidence("a") == pytest.approx((0.48 + 2, 0.48 + 1))


def test_what_the_tracker_remembers_survives_json() -> None:
    first, turns = Tracker(), replace(one_turn_each("ab", [1.0, 0.0]), episode_T=["e1", "e2"])
    first(turns)
    restored = Tracker().with_memory(json.loads(json.dumps(first.memory)))
    assert restored.last_played == {"a": "e1", "b": "e2"}
    assert restored(turns).tolist() == first(turns).tolist()
    assert restored.memory == first.memory


def test_the_tracker_needs_to_know_the_tasks() -> None:
    with pytest.raises(UsageError, match="task_T"):
        Tracker()(replace(one_turn_each("a", [1.0]), task_T=()))
