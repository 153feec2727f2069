"""Shaping by how undecided the policy was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentgym.training.shaping.base import Progress
from agentgym.training.shaping.entropy import EntropyProgress, UndecidedTurns, descending_ranks
from agentgym.training.turns import TurnTable
from tests.training.advantages.tables import one_turn_each, table, tables
from tests.training.shaping.tokens import tokens_of

START = Progress(0, 10)


def test_only_the_turns_of_highest_entropy_are_learned_from() -> None:
    turns = table("gggg", "aaab", "wxyz", [0.0] * 4, tokens=[2, 1, 1, 1])
    tokens = tokens_of(turns, entropy=[0.0, 1.0, 0.6, 0.4, 0.1])
    found = UndecidedTurns(share=0.5)(np.ones(5), tokens, turns, START)
    assert found.tolist() == [1.0, 1.0, 1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match=r"undecided_turns.*entropy"):
        UndecidedTurns()(np.ones(5), tokens_of(turns), turns, START)


@settings(max_examples=50)
@given(tables(), st.floats(0.01, 1.0), st.integers(0, 1000))
def test_each_trajectory_keeps_its_share_of_turns(turns: TurnTable, share: float, seed: int) -> None:
    count = int(turns.tokens_R.sum())
    tokens = tokens_of(turns, entropy=np.random.default_rng(seed).random(count).tolist())
    kept_N = UndecidedTurns(share=share)(np.ones(count), tokens, turns, START) != 0
    kept_R = np.bincount(tokens.turn_N, kept_N) > 0
    length_T = np.bincount(turns.trajectory_R)
    expected = np.ceil(share * length_T - 1e-9)
    assert np.bincount(turns.trajectory_R, kept_R).tolist() == expected.tolist()


def test_ranks_are_counted_from_the_highest_and_the_first_of_equals_leads() -> None:
    ranks = descending_ranks(np.array([1.0, 3.0, 1.0, 2.0, 9.0]), np.array([1, 1, 1, 1, 0]))
    assert ranks.tolist() == [2, 0, 3, 1, 0]


def test_erpo_takes_the_sign_of_the_advantage_and_the_size_from_entropy_and_progress() -> None:
    turns = one_turn_each("gg", [1.0, 0.0], tokens=[2, 2])
    tokens = tokens_of(
        turns, sampler=[-1.0] * 4, entropy=[0.0, 0.0, 1.0, 1.0], reference=[-1.1, -1.3, -1.0, -1.0]
    )
    part = EntropyProgress(sharpness=1.0, buckets=2)
    found = part(np.array([2.0, 2.0, -0.1, 0.0]), tokens, turns, START)
    low, high = (1 / (1 + np.exp(sign * 0.5 / np.sqrt(1 / 3))) for sign in (1, -1))
    np.testing.assert_allclose(found, [low * 0.5, low * 1.5, -high * 1.0, 0.0], rtol=1e-5)
