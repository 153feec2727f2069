"""Group baselines: worked examples and the rules. Published numbers are compared in tests/golden."""

from __future__ import annotations

import numpy as np
import pytest

from agentgym.training.advantages.base import Advantage, GroupBaseline
from agentgym.training.advantages.batch import BatchNormalised
from agentgym.training.advantages.group import GroupMean, LeaveOneOut, LengthWeighted
from agentgym.training.advantages.offset import ShiftedMean, SoftBaseline
from agentgym.training.advantages.raw import Score
from agentgym.training.advantages.step import StepGroup
from agentgym.training.advantages.stepwise import StepwiseGroupMean
from agentgym.training.turns import TurnTable
from tests.training.advantages.tables import one_turn_each, table

FOUR = one_turn_each("gggg", [1.0, 0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("advantage", "expected"),
    [
        (Score(), [1.0, 0.0, 0.0, 1.0]),
        (GroupMean(), [0.5, -0.5, -0.5, 0.5]),
        (GroupMean(std=True), [0.866024, -0.866024, -0.866024, 0.866024]),
        (GroupMean(std=True, population=True), [0.999998, -0.999998, -0.999998, 0.999998]),
        (LeaveOneOut(), [2 / 3, -2 / 3, -2 / 3, 2 / 3]),
        (SoftBaseline(tau=1.0), [0.379885, -0.620115, -0.620115, 0.379885]),
        (SoftBaseline(tau=0.5), [0.283110, -0.716890, -0.716890, 0.283110]),
        (ShiftedMean(), [0.6, -0.4, -0.4, 0.6]),
        (BatchNormalised(), [0.866025, -0.866025, -0.866025, 0.866025]),
        (BatchNormalised(std=False), [0.5, -0.5, -0.5, 0.5]),
    ],
    ids=repr,
)
def test_four_rollouts_two_of_which_succeed(advantage: Advantage, expected: list[float]) -> None:
    np.testing.assert_allclose(advantage(FOUR), expected, atol=1e-6)


def test_long_answers_weigh_more_in_the_length_weighted_baseline() -> None:
    turns = one_turn_each("gggg", [1.0, 0.0, 0.0, 1.0], tokens=[2, 5, 5, 2])
    np.testing.assert_allclose(LengthWeighted()(turns), [5 / 7, -2 / 7, -2 / 7, 5 / 7])


def test_the_soft_baseline_lies_between_mean_and_maximum() -> None:
    turns = one_turn_each("ggg", [1.0, 0.0, 0.5])
    np.testing.assert_allclose(SoftBaseline(tau=1e4)(turns), [0.5, -0.5, 0.0], atol=1e-4)
    np.testing.assert_allclose(SoftBaseline(tau=1e-3)(turns), [0.0, -1.0, -0.5], atol=2e-3)


def test_long_trajectories_do_not_move_the_baseline() -> None:
    """Nine turns of failure beside one of success: the published statistics give -0.1 and +0.9."""
    turns = table("g" * 10, ["a"] * 9 + ["b"], "abcdefghij", [0.0] * 9 + [1.0])
    assert GroupMean()(turns).tolist() == [-0.5] * 9 + [0.5]
    np.testing.assert_allclose(GroupMean(statistics="turn")(turns), [-0.1] * 9 + [0.9])


BASELINES = [GroupMean, LeaveOneOut, LengthWeighted, SoftBaseline, ShiftedMean, StepwiseGroupMean]


@pytest.mark.parametrize("kind", BASELINES)
def test_a_group_of_one_has_no_advantage_unless_asked(kind: type[GroupBaseline]) -> None:
    turns = one_turn_each("abb", [1.0, 0.0, 0.0])
    assert kind()(turns)[0] == 0.0
    assert kind(singleton="raw")(turns)[0] == 1.0


def test_a_lone_rollout_is_compared_with_the_batch_only_when_published() -> None:
    turns = one_turn_each("abbb", [1.0, 0.0, 1.0, 0.5])
    np.testing.assert_allclose(BatchNormalised(std=False)(turns), [0.0, -0.5, 0.5, 0.0])
    np.testing.assert_allclose(
        BatchNormalised().as_published()(turns), [1.161895, -1.161895, 0.387298, -0.387298], atol=1e-6
    )


def test_one_success_among_many_is_bounded() -> None:
    turns = one_turn_each("a" * 8 + "b" * 8 + "c" * 8 + "d" * 8, [1.0] + [0.0] * 31)
    assert BatchNormalised()(turns)[0] == 3.0
    assert BatchNormalised(bound=0.0)(turns)[0] > 5.0


def test_without_placeholders_a_turn_is_compared_with_those_that_reached_it() -> None:
    turns = table("g" * 5, "aabcc", "vwxyz", [0.0, 1.0, 0.0, 0.0, 0.0])
    everywhere = BatchNormalised(std=False)(turns)
    np.testing.assert_allclose(everywhere, [2 / 3, 2 / 3, -1 / 3, -1 / 3, -1 / 3])
    reached = BatchNormalised(std=False, placeholders=False)(turns)
    np.testing.assert_allclose(reached, [2 / 3, 0.5, -1 / 3, -1 / 3, -0.5])


def test_stepwise_options() -> None:
    turns = table("aaaabbc", "0123456", "sssssss", [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.7])
    kept = StepwiseGroupMean(singleton="raw")(turns)
    np.testing.assert_allclose(kept, [0.866024, 0.866024, -0.866024, -0.866024, 0, 0, 0.7], atol=1e-6)
    batch = StepwiseGroupMean(singleton="raw", spread="batch")(turns)
    np.testing.assert_allclose(batch, [1.060279, 1.060279, -1.060279, -1.060279, 0, 0, 1.484391], atol=1e-5)
    assert StepwiseGroupMean(singleton="raw", least_deviation=0.0)(turns)[6] == 0.0
    long = table("ggg", "aab", "xyz", [0.0, 1.0, 0.0])
    np.testing.assert_allclose(
        StepwiseGroupMean(per_turn=True)(long), np.array([0.25, 0.25, -0.5]) * 2**0.5, atol=1e-5
    )


PENALISED = table("g" * 6, "aaabbb", "xyzxyz", [0, 0, 1, 0, 0, 1], valid=[1, 0, 1, 1, 1, 1])


def penalised(place: str, **settings: object) -> list[float]:
    part = StepGroup.model_validate(
        {"std": False, "gamma": 0.5, "invalid_action_penalty": 0.25, "penalty_at": place, **settings}
    )
    return part(PENALISED).tolist()


def test_a_penalty_on_the_advantage_concerns_its_turn_alone() -> None:
    assert penalised("advantage") == [0.0, -0.25, 0.0, 0.0, 0.0, 0.0]


def test_a_penalty_on_the_return_moves_the_state_it_was_paid_in() -> None:
    """Half of it goes to the other visitor's credit; the episode part compares the turn's score with the mean."""
    assert penalised("return", weight=0.0) == [0.0, -0.25, 0.0, 0.0, 0.0, 0.0]
    assert penalised("return") == [0.0, -0.25 - 0.125, 0.0, 0.0, 0.125, 0.0]


def test_a_penalty_in_the_reward_is_seen_by_earlier_turns() -> None:
    assert penalised("reward", weight=0.0) == [-0.125] * 3 + [0.125] * 3
    earlier = -0.25 * 0.5 / 2
    expected = [-0.125 + earlier, -0.25, -0.125, 0.125 - earlier, 0.25, 0.125]
    np.testing.assert_allclose(penalised("reward"), expected)


def test_a_penalty_stays_small_where_every_rollout_fails() -> None:
    turns = table("gggg", "abcd", "ssss", [0.0] * 4, valid=[1, 1, 1, 0])
    assert StepGroup(invalid_action_penalty=0.1)(turns).tolist() == [0.0, 0.0, 0.0, -0.1]
    published = StepGroup(invalid_action_penalty=0.1).as_published()(turns)
    assert published[3] < -2.9


def test_rounding_is_no_signal() -> None:
    """0.1 + 0.2 is not 0.3, and three equal outcomes may have been summed in different orders."""
    turns: TurnTable = one_turn_each("ggg", [0.1 + 0.2, 0.3, 0.3])
    for part in (GroupMean(std=True), LeaveOneOut(), StepGroup(), LengthWeighted(), SoftBaseline()):
        assert not part(turns).any(), part
    assert turns.groups_without_signal() == 1
