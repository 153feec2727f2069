"""Token returns, the price of leaving the reference, and whitening."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.training.advantages.group import GroupMean
from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.returns import KlReward, TokenReturns, Whiten
from agentgym.training.turns import TurnTable
from tests.training.advantages.tables import one_turn_each, table, tables
from tests.training.shaping.tokens import tokens_of

START = Progress(0, 10)
TWO_TURNS = table("gg", "aa", "xy", [1.0, 2.0], tokens=[2, 2])


def test_a_token_sees_the_rewards_that_follow_it() -> None:
    tokens = tokens_of(TWO_TURNS)
    assert TokenReturns()(np.zeros(4), tokens, TWO_TURNS, START).tolist() == [3.0, 3.0, 2.0, 2.0]
    assert TokenReturns(gamma=0.5)(np.zeros(4), tokens, TWO_TURNS, START).tolist() == [0.75, 1.5, 1.0, 2.0]


def test_the_released_code_forgets_what_came_after_an_observation() -> None:
    found = TokenReturns().as_published()(np.zeros(4), tokens_of(TWO_TURNS), TWO_TURNS, START)
    assert found.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_the_reward_of_a_turn_without_trained_tokens_goes_to_the_one_before() -> None:
    turns = table("gggg", "aaab", "wxyz", [0.0, 1.0, 5.0, 7.0], tokens=[1, 2, 1, 1])
    silent = TurnTable(
        turns.trajectory_R,
        turns.turn_R,
        turns.state_R,
        turns.reward_R,
        turns.valid_R,
        np.array([0, 2, 0, 1]),
        turns.group_T,
        turns.score_T,
    )
    assert TokenReturns()(np.zeros(3), tokens_of(silent), silent, START).tolist() == [6.0, 6.0, 7.0]


def test_leaving_the_reference_costs_what_is_still_to_come() -> None:
    tokens = tokens_of(TWO_TURNS, sampler=[-1.0] * 4, reference=[-1.5, -1.0, -0.75, -2.0])
    found = KlReward(coefficient=2.0)(np.zeros(4), tokens, TWO_TURNS, START)
    np.testing.assert_allclose(found, [-2.5, -1.5, -1.5, -2.0])
    with pytest.raises(ValueError, match=r"kl_reward.*reference"):
        KlReward()(np.zeros(4), tokens_of(TWO_TURNS), TWO_TURNS, START)


def test_reinforce_pp_with_a_baseline_on_its_worked_example() -> None:
    turns = one_turn_each("qqqq", [1.0, 0.0, 0.0, 1.0], tokens=[2, 5, 5, 2])
    tokens = tokens_of(turns)
    found = Whiten()(GroupMean()(turns)[tokens.turn_N], tokens, turns, START)
    np.testing.assert_allclose(found[[0, 2, 7, 12]], [1.523623, -0.609449, -0.609449, 1.523623], atol=1e-6)


@settings(max_examples=50)
@given(tables(), st.floats(-3, 3), st.floats(0.1, 5))
def test_whitened_advantages_have_mean_zero_and_deviation_one(
    turns: TurnTable, shift: float, scale: float
) -> None:
    tokens = tokens_of(turns)
    raw_N = GroupMean()(turns)[tokens.turn_N]
    white_N = Whiten()(raw_N, tokens, turns, START)
    if np.ptp(raw_N) == 0:
        assert not white_N.any()
    else:
        assert white_N.mean() == pytest.approx(0.0, abs=1e-8)
        assert white_N.std(ddof=1) == pytest.approx(1.0, abs=1e-3)
    moved_N = Whiten()(raw_N * scale + shift, tokens, turns, START)
    np.testing.assert_allclose(moved_N, white_N, atol=1e-3)


def test_an_empty_batch_stays_empty() -> None:
    nothing = tokens_of(TWO_TURNS)
    assert Whiten()(np.zeros(0), nothing, TWO_TURNS, START).size == 0
