"""Step groups: by state, by similar text, by recent history, by number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentgym.core.errors import UsageError
from agentgym.training.advantages.hierarchy import Hierarchy, history_keys
from agentgym.training.advantages.mixed import TurnBatchMix
from agentgym.training.advantages.similarity import similar_states
from agentgym.training.advantages.step import StepGroup
from tests.training.advantages.tables import WORKED, table

STEP = [4.6253125, 3.325, 0, 4.1740625, 2.85, 0, 0, -4.3996875, 0, -6.175, -4.3996875, 0, 0]


def test_gigpo_on_its_worked_example() -> None:
    episode = np.where(WORKED.score_R > 0, 5.0, -5.0)
    np.testing.assert_allclose(StepGroup(std=False)(WORKED), episode + STEP)
    assert np.allclose(StepGroup(std=False, weight=0.5)(WORKED), episode + 0.5 * np.array(STEP))
    published = StepGroup(std=False).as_published()(WORKED)
    np.testing.assert_allclose(published, np.where(WORKED.score_R > 0, 60 / 13, -70 / 13) + STEP)


def test_hgpo_without_history_is_the_step_advantage() -> None:
    np.testing.assert_allclose(Hierarchy(history=0, std=False)(WORKED), STEP)


def test_hgpo_weighs_longer_agreement_more() -> None:
    """Trajectory 0 in s1: 3.325 among all who stood there, 0.2375 among those who came from s0."""
    ours = Hierarchy(history=1, std=False)(WORKED)
    assert ours[1] == pytest.approx((1 * 3.325 + 2 * 0.2375) / 3)
    published = Hierarchy(history=1, std=False).as_published()(WORKED)
    assert published[1] == pytest.approx((2 * 3.325 + 3 * 0.2375) / 5)
    assert Hierarchy(history=1, alpha=0.0, std=False)(WORKED)[1] == pytest.approx((3.325 + 0.2375) / 2)


def test_hgpo_divides_by_the_deviation_of_the_population() -> None:
    expected = [1.0506, 0.7607, 0, 0.9481, 0.6521, 0, 0, -0.9993, 0, -1.4128, -0.9993, 0, 0]
    np.testing.assert_allclose(Hierarchy(history=0)(WORKED), expected, atol=1e-4)


def test_hgpo_counts_a_level_of_zero_unless_told_to_drop_it() -> None:
    """In y both trajectories of x do equally well, which says that only being in y mattered."""
    turns = table("g" * 5, "aabbc", "xyxyy", [0, 1, 0, 1, 0])
    keep, drop = Hierarchy(history=1, std=False), Hierarchy(history=1, std=False, drop_zeros=True)
    assert keep(turns)[1] == pytest.approx((1 * (1 - 2 / 3) + 2 * 0.0) / 3)
    assert drop(turns)[1] == pytest.approx(1 - 2 / 3)


def test_hgpo_with_the_group_as_its_base_level() -> None:
    turns = table("g" * 3, "abc", "xyz", [1, 0, 0])
    assert Hierarchy(std=False)(turns).tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(Hierarchy(std=False, base=True)(turns), [2 / 3, -1 / 3, -1 / 3])
    penalised = Hierarchy(std=False, base=True, invalid_action_penalty=0.5)
    invalid = replace(turns, valid_R=np.array([True, False, True]))
    np.testing.assert_allclose(penalised(invalid), [2 / 3, -1 / 3 - 0.5, -1 / 3])


def test_a_lone_rollout_has_no_base_level_unless_published() -> None:
    turns = table("g", "a", "x", [1])
    assert Hierarchy(base=True)(turns).tolist() == [0.0]
    assert Hierarchy(base=True).as_published()(turns).tolist() == [1.0]


def test_history_keys_are_equal_where_the_last_states_are() -> None:
    turns = table("gggggg", "aaabbb", "xyzwyz", [0.0] * 6)
    one, two, three = history_keys(turns, 3)
    assert one[1] == one[4]
    assert two[1] != two[4]
    assert two[2] == two[5]
    assert three[2] != three[5]
    assert two[[0, 3]].tolist() == [-1, -1]
    assert three[[0, 1, 3, 4]].tolist() == [-1] * 4


def test_similar_texts_are_one_state_within_a_group() -> None:
    room = "You are in the kitchen. You see a cup, a plate and a fork on the table."
    texts = [room, room.replace("cup", "mug"), "You are outside.", room, room]
    group_R = np.array([0, 0, 0, 0, 1])
    assert similar_states(texts, group_R, 0.9).tolist() == [0, 0, 1, 0, 2]
    assert similar_states(texts, group_R, 0.999).tolist() == [0, 1, 2, 0, 3]


def test_step_groups_by_similarity() -> None:
    turns = table("gg", "ab", "xy", [1.0, 0.0])
    alike = replace(turns, text_R=["a red apple on a table", "a red apple on the table"])
    assert StepGroup(std=False)(alike).tolist() == [0.5, -0.5]
    assert StepGroup(std=False, similarity=0.8)(alike).tolist() == [1.0, -1.0]
    with pytest.raises(UsageError, match="text_R"):
        StepGroup(similarity=0.8)(turns)


def test_mapo_mixes_the_turn_number_with_the_batch() -> None:
    turns = table("gggg", "aabb", "wxyz", [0, 1, 0, 0])
    by_turn = np.array([0.25, 0.5, -0.25, -0.5])
    by_batch = np.array([0.5, 1.0, 0.0, 0.0]) - 0.375
    for mix in (0.0, 0.3, 1.0):
        found = TurnBatchMix(mix=mix, gamma=0.5, std=False)(turns)
        np.testing.assert_allclose(found, mix * by_turn + (1 - mix) * by_batch)
