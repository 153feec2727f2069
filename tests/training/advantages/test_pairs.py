"""Which rollouts pairwise losses compare."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.advantages.pairs import Future, Pair, parting_rows
from agentgym.training.turns import TurnTable, codes


def table(paths: list[tuple[str, str, list[float]]]) -> TurnTable:
    """Trajectories as (group, one letter per turn: state and action, rewards)."""
    turns = [(t, n) for t, (_, path, _) in enumerate(paths) for n in range(len(path))]
    return TurnTable(
        trajectory_R=np.array([t for t, _ in turns]),
        turn_R=np.array([n for _, n in turns]),
        state_R=codes((paths[t][0], paths[t][1][:n]) for t, n in turns),
        reward_R=np.array([paths[t][2][n] for t, n in turns]),
        valid_R=np.ones(len(turns), np.bool_),
        tokens_R=np.ones(len(turns), np.int64),
        group_T=codes(group for group, _, _ in paths),
        score_T=np.array([sum(rewards) for _, _, rewards in paths]),
        action_R=[paths[t][1][n] for t, n in turns],
    )


def test_pair_compares_the_best_with_the_worst() -> None:
    turns = table([("g", "ab", [0, score]) for score in (0.3, 1.0, 0.0, 0.5)] + [("tie", "a", [1.0])] * 2)
    np.testing.assert_allclose(Pair()(turns), [0, 0, 0.5, 0.5, -0.5, -0.5, 0, 0, 0, 0])


def test_pair_takes_up_to_most_on_either_side_and_the_first_on_a_tie() -> None:
    turns = table([("g", "a", [score]) for score in (1, 0, 1, 1, 0)])
    np.testing.assert_allclose(Pair(most=2)(turns), [0.5, -0.5, 0.5, 0, -0.5])
    np.testing.assert_allclose(Pair(most=9)(turns), [0.5, -0.5, 0.5, 0.5, -0.5])


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-3, 3)), min_size=1, max_size=12), st.integers(1, 4))
def test_differences_between_sides_are_those_of_the_scores(members: list[tuple[int, int]], most: int) -> None:
    turns = table([(str(group), "a", [score]) for group, score in members])
    value_T = Pair(most=most)(turns)
    for group in range(3):
        inside = [index for index, (other, _) in enumerate(members) if other == group]
        preferred = [index for index in inside if value_T[index] > 0]
        rejected = [index for index in inside if value_T[index] < 0]
        assert (len({members[index][1] for index in inside}) > 1) == bool(preferred) == bool(rejected)
        assert len(preferred) <= most
        assert len(rejected) <= most
        for good in preferred:
            for bad in rejected:
                assert value_T[good] - value_T[bad] == members[good][1] - members[bad][1] > 0


def test_rollouts_part_where_their_actions_first_differ() -> None:
    turns = table([("g", "abc", [0] * 3), ("g", "abd", [0] * 3), ("h", "ab", [0] * 2), ("h", "ba", [0] * 2)])
    assert parting_rows(turns).tolist() == [2, 5, 6, 8]


def test_rollouts_of_different_length_part_at_the_last_turn_of_the_shortest() -> None:
    turns = table([("g", "ab", [0, 0]), ("g", "abc", [0, 0, 0]), ("alone", "abc", [0, 0, 0])])
    assert parting_rows(turns).tolist() == [1, 3, 7]


def test_future_is_what_came_after_the_parting() -> None:
    turns = table([("g", "abc", [5, 1, 2]), ("g", "add", [5, 0, 0]), ("tie", "a", [1]), ("tie", "b", [1])])
    np.testing.assert_allclose(Future()(turns), [0, 4, 0, 0, 1, 0, 0, 0])


def test_rounding_makes_no_pair() -> None:
    turns = table([("g", "a", [0.1 + 0.2]), ("g", "b", [0.3])])
    assert not Pair()(turns).any()
    assert not Future()(turns).any()


def test_most_must_be_positive() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        Pair(most=0)
