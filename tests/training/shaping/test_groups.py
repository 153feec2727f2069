"""Shaping by what a group did: lengths of successes, variety of answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agentgym.core.errors import UsageError
from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.groups import Adora, SemanticEntropy
from tests.training.advantages.tables import one_turn_each, table
from tests.training.shaping.tokens import tokens_of

START = Progress(0, 10)


def test_groups_whose_successes_are_shorter_are_turned_down() -> None:
    turns = one_turn_each("aaabbbcc", [1, 0, 0, 1, 0, 0, 1, 1], tokens=[3, 2, 3, 2, 2, 3, 1, 1])
    factors = Adora()(np.ones(int(turns.tokens_R.sum())), tokens_of(turns), turns, START)
    assert factors[[0, 8, 15]].tolist() == [1.0, 0.1, 1.0]  # longer; shorter; nothing to compare with


ANSWERS = replace(
    table("aaaabbbb", "01234567", "s" * 8, [0.0] * 8),
    action_R=["go north", "Go  North", "go south", "wait", "x", "x", "x", "X"],
)


def test_a_group_that_answers_in_many_ways_learns_less() -> None:
    part = SemanticEntropy(alpha=0.5)
    entropy_G = part.entropy(ANSWERS)
    np.testing.assert_allclose(entropy_G, [1.5 * np.log(2), 0.0], atol=1e-12)
    found = part(np.ones(8), tokens_of(ANSWERS), ANSWERS, START)
    np.testing.assert_allclose(found, [1 - 0.5 * 0.75] * 4 + [1.0] * 4)


def test_the_answer_is_the_last_action_or_all_of_them() -> None:
    turns = replace(table("aaaa", "0011", "wxyz", [0.0] * 4), action_R=["open", "take", "look", "take"])
    assert SemanticEntropy().entropy(turns).tolist() == [0.0]
    np.testing.assert_allclose(SemanticEntropy(answer="actions").entropy(turns), [np.log(2)])


def test_a_table_without_actions_is_refused() -> None:
    turns = one_turn_each("aa", [0.0, 1.0])
    with pytest.raises(UsageError, match="action_R"):
        SemanticEntropy()(np.ones(2), tokens_of(turns), turns, START)
