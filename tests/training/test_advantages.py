"""The rules of advantages, and the properties they promise. Published numbers are compared in tests/golden."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agentgym.training.advantages.group import GroupMean
from agentgym.training.advantages.step import StepGroup
from agentgym.training.turns import TurnTable, codes


def table(
    group: list[str], trajectory: list[str], state: list[str], reward: list[float], valid: list[int]
) -> TurnTable:
    trajectory_R = codes(trajectory)
    first_T = [trajectory.index(name) for name in dict.fromkeys(trajectory)]
    return TurnTable(
        trajectory_R=trajectory_R,
        turn_R=np.array([row - trajectory.index(name) for row, name in enumerate(trajectory)]),
        state_R=codes(zip(group, state, strict=True)),
        reward_R=np.array(reward, np.float64),
        valid_R=np.array(valid, np.bool_),
        tokens_R=np.ones(len(trajectory), np.int64),
        group_T=codes([group[row] for row in first_T]),
        score_T=np.bincount(trajectory_R, np.array(reward, np.float64)).astype(np.float64),
    )


def test_long_trajectories_do_not_move_the_baseline() -> None:
    """Nine turns of failure beside one of success: the published statistics give -0.1 and +0.9."""
    turns = table(["g"] * 10, ["a"] * 9 + ["b"], list("abcdefghij"), [0.0] * 9 + [1.0], [1] * 10)
    assert GroupMean()(turns).tolist() == [-0.5] * 9 + [0.5]
    np.testing.assert_allclose(GroupMean(statistics="turn")(turns), [-0.1] * 9 + [0.9])


def test_a_group_of_one_has_no_advantage_unless_asked() -> None:
    turns = table(["g"], ["a"], ["s"], [1.0], [1])
    assert GroupMean()(turns).tolist() == [0.0]
    assert GroupMean(singleton="raw")(turns).tolist() == [1.0]


def test_only_the_invalid_turn_pays_the_penalty() -> None:
    turns = table(["g"] * 4, ["a", "a", "b", "b"], ["s", "t", "s", "t"], [0, 1, 0, 1], [1, 0, 1, 1])
    found = GroupMean(invalid_action_penalty=0.25)(turns)
    assert found.tolist() == [0.0, -0.25, 0.0, 0.0]


def test_a_penalty_stays_small_where_every_rollout_fails() -> None:
    turns = table(["g"] * 4, list("abcd"), ["s"] * 4, [0.0] * 4, [1, 1, 1, 0])
    ours = StepGroup(invalid_action_penalty=0.1)(turns)
    assert ours.tolist() == [0.0, 0.0, 0.0, -0.1]
    published = StepGroup(invalid_action_penalty=0.1, penalty_at="return", statistics="turn")(turns)
    assert published[3] < -2.9


@st.composite
def tables(draw: st.DrawFn) -> TurnTable:
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=8))
    trajectory = [str(t) for t, length in enumerate(lengths) for _ in range(length)]
    group_of = [draw(st.sampled_from("ab")) for _ in lengths]
    count = len(trajectory)
    return table(
        [group_of[int(name)] for name in trajectory],
        trajectory,
        draw(st.lists(st.sampled_from("xyz"), min_size=count, max_size=count)),
        draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=count, max_size=count)),
        [1] * count,
    )


@given(tables(), st.booleans())
def test_trajectory_advantages_of_a_group_sum_to_zero(turns: TurnTable, std: bool) -> None:
    advantage_R = GroupMean(std=std)(turns)
    first_R = turns.turn_R == 0
    sums = np.bincount(turns.group_R[first_R], advantage_R[first_R])
    np.testing.assert_allclose(sums, 0.0, atol=1e-9)


@given(tables(), st.booleans())
def test_step_advantages_of_a_state_sum_to_zero(turns: TurnTable, std: bool) -> None:
    step_R = StepGroup(std=std, weight=1.0)(turns) - GroupMean(std=std)(turns)
    np.testing.assert_allclose(np.bincount(turns.state_R, step_R), 0.0, atol=1e-8)


@given(tables(), st.floats(-5, 5), st.booleans())
def test_a_constant_added_to_every_score_changes_nothing(turns: TurnTable, shift: float, std: bool) -> None:
    moved = TurnTable(
        turns.trajectory_R,
        turns.turn_R,
        turns.state_R,
        turns.reward_R,
        turns.valid_R,
        turns.tokens_R,
        turns.group_T,
        turns.score_T + shift,
    )
    np.testing.assert_allclose(GroupMean(std=std)(turns), GroupMean(std=std)(moved), atol=1e-6)


@given(st.floats(0.001, 10.0), st.integers(2, 40))
def test_equal_scores_teach_exactly_nothing(value: float, members: int) -> None:
    names = [str(n) for n in range(members)]
    turns = table(["g"] * members, names, ["s"] * members, [value] * members, [1] * members)
    assert not StepGroup(std=True)(turns).any()
    assert turns.groups_without_signal() == 1
