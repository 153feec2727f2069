"""What every estimator promises, on random tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.training.advantages.base import Advantage
from agentgym.training.advantages.batch import BatchNormalised
from agentgym.training.advantages.beta import BetaNormalised
from agentgym.training.advantages.group import GroupMean, LeaveOneOut, LengthWeighted
from agentgym.training.advantages.hierarchy import Hierarchy
from agentgym.training.advantages.mixed import TurnBatchMix
from agentgym.training.advantages.offset import ShiftedMean, SoftBaseline
from agentgym.training.advantages.step import StepGroup
from agentgym.training.advantages.stepwise import StepwiseGroupMean
from agentgym.training.advantages.tracker import Tracker
from agentgym.training.turns import TurnTable
from tests.training.advantages.tables import by_trajectory, one_turn_each, reordered, tables

CENTRED: list[Advantage] = [
    GroupMean(),
    GroupMean(std=True),
    GroupMean(std=True, population=True),
    LeaveOneOut(),
    StepwiseGroupMean(spread="batch"),
    BatchNormalised(std=False),
    BetaNormalised(),
]
SHIFTED: list[Advantage] = [
    *CENTRED[:-1],
    LengthWeighted(),
    SoftBaseline(),
    ShiftedMean(),
    BatchNormalised(),
    GroupMean(std=True, statistics="turn"),
]
ALL: list[Advantage] = [
    *SHIFTED,
    BetaNormalised(),
    Tracker(),
    StepGroup(),
    StepGroup(std=False, statistics="turn"),
    Hierarchy(),
    Hierarchy(base=True, drop_zeros=True),
    TurnBatchMix(),
    BatchNormalised(placeholders=False),
]


@pytest.mark.parametrize("advantage", CENTRED, ids=repr)
@settings(max_examples=25)
@given(tables(last=True))
def test_trajectory_advantages_of_a_group_sum_to_zero(advantage: Advantage, turns: TurnTable) -> None:
    found_T = by_trajectory(turns, advantage(turns))
    np.testing.assert_allclose(np.bincount(turns.group_T, found_T), 0.0, atol=1e-8)


@given(tables(last=True))
def test_token_weighted_advantages_sum_to_zero_over_the_length_weighted_baseline(turns: TurnTable) -> None:
    found_T = by_trajectory(turns, LengthWeighted()(turns)) * turns.tokens_T
    np.testing.assert_allclose(np.bincount(turns.group_T, found_T), 0.0, atol=1e-8)


@given(tables(), st.booleans())
def test_step_advantages_of_a_state_sum_to_zero(turns: TurnTable, std: bool) -> None:
    step_R = StepGroup(std=std)(turns) - GroupMean(std=std)(turns)
    np.testing.assert_allclose(np.bincount(turns.state_R, step_R), 0.0, atol=1e-8)


@given(tables())
def test_batch_advantages_sum_to_zero_over_the_batch(turns: TurnTable) -> None:
    for advantage in (BatchNormalised(bound=0.0), Tracker()):
        assert by_trajectory(turns, advantage(turns)).sum() == pytest.approx(0.0, abs=1e-8)
    assert TurnBatchMix(mix=0.3)(turns).sum() == pytest.approx(0.0, abs=1e-8)


@pytest.mark.parametrize("advantage", SHIFTED, ids=repr)
@settings(max_examples=25)
@given(tables(last=True), st.floats(-5, 5))
def test_a_constant_added_to_every_score_changes_nothing(
    advantage: Advantage, turns: TurnTable, shift: float
) -> None:
    moved = replace(
        turns, score_T=turns.score_T + shift, reward_R=turns.reward_R + np.where(turns.last_R, shift, 0.0)
    )
    np.testing.assert_allclose(advantage(turns), advantage(moved), atol=1e-6)


@pytest.mark.parametrize("advantage", ALL, ids=repr)
@settings(max_examples=25)
@given(tables(last=True), st.randoms(use_true_random=False))
def test_the_order_of_the_trajectories_does_not_matter(
    advantage: Advantage, turns: TurnTable, random: object
) -> None:
    order_T = np.arange(len(turns.score_T))
    random.shuffle(order_T)  # type: ignore[attr-defined]
    other, rows = reordered(turns, order_T)
    fresh = advantage.with_memory({}), advantage.with_memory({})
    np.testing.assert_allclose(fresh[0](turns)[rows], fresh[1](other), atol=1e-9)


@pytest.mark.parametrize("advantage", [part for part in ALL if part.name != "shifted_mean"], ids=repr)
@settings(max_examples=25)
@given(st.floats(0.001, 1.0), st.integers(2, 40))
def test_equal_scores_teach_exactly_nothing(advantage: Advantage, value: float, members: int) -> None:
    turns = one_turn_each("g" * members, [value] * members)
    assert not advantage.with_memory({})(turns).any()


@given(st.floats(0.001, 1.0), st.integers(2, 40))
def test_where_scores_are_equal_only_the_shift_is_left(value: float, members: int) -> None:
    turns = one_turn_each("g" * members, [value] * members)
    np.testing.assert_allclose(ShiftedMean(shift=-0.1)(turns), 0.1)
