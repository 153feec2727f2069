"""Comparing rollouts that a memory did not show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.core.trace import Outcome
from agentgym.training.advantages.exposure import Exposure, among_equals, corrected, fairly_compared
from agentgym.training.advantages.group import GroupMean, LeaveOneOut
from agentgym.training.advantages.step import StepGroup
from agentgym.training.turns import TurnTable
from tests.memory.episodes import episode
from tests.training.advantages.tables import one_turn_each


def shown(group: str, scores: Sequence[float], items: Sequence[str]) -> TurnTable:
    """One trajectory for each letter of `group`; an item for each letter of what it was shown."""
    return replace(one_turn_each(group, scores), shown_T=[frozenset(each) for each in items])


def test_only_rollouts_that_were_shown_the_same_are_compared() -> None:
    turns = shown("gggghh", [1, 0, 1, 1, 0, 1], ["a", "a", "", "", "a", "b"])
    np.testing.assert_allclose(GroupMean()(among_equals(turns)), [0.5, -0.5, 0, 0, 0, 0])
    np.testing.assert_allclose(GroupMean()(turns)[:4], [0.25, -0.75, 0.25, 0.25])


def test_what_an_item_does_is_taken_out_where_it_is_known_well() -> None:
    """Half of each group sees an item that alone decides: no rollout deserves credit for it."""
    groups = "".join(letter * 4 for letter in "abcdefghijklmnopqrstuvwxyz")
    turns = shown(groups, [1.0, 1.0, 0.0, 0.0] * 26, ["i", "i", "", ""] * 26)
    assert np.abs(GroupMean()(turns)).max() == 0.5
    assert np.abs(GroupMean()(corrected(turns))).max() < 0.02


def test_items_shown_together_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    items = [("x" if rng.random() < 0.5 else "") + ("y" if rng.random() < 0.5 else "") for _ in range(400)]
    skill = rng.normal(size=400)
    groups = "".join(chr(97 + row // 16) for row in range(400))
    scores = [3.0 * ("x" in item) - 2.0 * ("y" in item) + own for item, own in zip(items, skill, strict=True)]
    turns = shown(groups, scores, items)
    merit = LeaveOneOut()(replace(turns, score_T=skill, reward_R=skill))
    luck = np.abs(LeaveOneOut()(turns) - merit).mean()
    assert np.abs(LeaveOneOut()(corrected(turns)) - merit).mean() < 0.15 * luck


@pytest.mark.parametrize("exposure", ["equal", "correct"])
@given(st.lists(st.tuples(st.sampled_from("gh"), st.integers(0, 1)), min_size=1, max_size=10), st.booleans())
def test_nothing_changes_where_all_were_shown_the_same(
    exposure: Exposure, rollouts: list[tuple[str, int]], remembering: bool
) -> None:
    turns = one_turn_each("".join(group for group, _ in rollouts), [score for _, score in rollouts])
    if remembering:
        turns = replace(turns, shown_T=[frozenset("ab")] * len(rollouts))
    np.testing.assert_array_equal(GroupMean()(fairly_compared(turns, exposure)), GroupMean()(turns))


@given(
    st.lists(
        st.tuples(st.sampled_from("gh"), st.floats(-5, 5), st.sampled_from(["", "a", "b", "ab"])),
        min_size=2,
        max_size=12,
    )
)
def test_correcting_leaves_the_means_of_groups(rollouts: list[tuple[str, float, str]]) -> None:
    group, scores, items = zip(*rollouts, strict=True)
    turns = shown("".join(group), scores, items)
    if any(items):
        before, after = (np.bincount(turns.group_T, each.score_T) for each in (turns, corrected(turns)))
        np.testing.assert_allclose(after, before, atol=1e-9)


def test_states_and_returns_are_fair_too() -> None:
    """Of two turns in one state the lucky trajectory's is no better."""
    groups = "".join(letter * 4 for letter in "abcdefghijklmnopqrstuvwxyz")
    turns = shown(groups, [1.0, 1.0, 0.0, 0.0] * 26, ["i", "i", "", ""] * 26)
    turns = replace(turns, state_R=turns.group_T[turns.trajectory_R])
    assert np.abs(StepGroup(std=False)(turns)).max() == 1.0
    assert np.abs(StepGroup(std=False)(among_equals(turns))).max() == 0.0
    assert np.abs(StepGroup(std=False)(corrected(turns))).max() < 0.04
    returned_T = np.bincount(turns.trajectory_R, corrected(turns).reward_R)
    np.testing.assert_allclose(returned_T, corrected(turns).score_T)


def test_the_table_knows_what_episodes_began_with() -> None:
    silent = replace(episode("e2", outcome=Outcome.FAILURE), turns=())
    turns = TurnTable.from_episodes([episode("e1", shown=("v1", "v2")), silent])
    assert list(turns.shown_T) == [frozenset({"v1", "v2"}), frozenset()]
