"""A price on length."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from agentgym.training.rewards.overlong import Overlong
from agentgym.training.turns import TurnTable
from tests.training.advantages.tables import one_turn_each, table, tables


def test_dapos_script() -> None:
    lengths = [1, 16384, 16385, 18432, 20000, 20480]
    turns = one_turn_each("gggggg", [1.0] * 6, tokens=lengths)
    found = Overlong(limit=20480, buffer=4096)(turns).score_T - 1.0
    np.testing.assert_allclose(found, [0, 0, -1 / 4096, -0.5, -0.8828125, -1.0])


def test_the_whole_trajectory_counts_and_its_last_turn_pays() -> None:
    turns = table("ggg", "aab", "xyz", [0.0, 1.0, 1.0], tokens=[6, 2, 6])
    shaped = Overlong(limit=10, buffer=4, factor=0.5)(turns)
    assert shaped.reward_R.tolist() == [0.0, 0.75, 1.0]
    assert shaped.score_T.tolist() == [0.75, 1.0]


@settings(max_examples=50)
@given(tables())
def test_scores_stay_the_sums_of_rewards(turns: TurnTable) -> None:
    shaped = Overlong(limit=8, buffer=4)(turns)
    np.testing.assert_allclose(np.bincount(shaped.trajectory_R, shaped.reward_R), shaped.score_T)
    assert (shaped.score_T <= turns.score_T).all()


def test_a_buffer_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="at most `limit`"):
        Overlong(limit=100, buffer=101)
